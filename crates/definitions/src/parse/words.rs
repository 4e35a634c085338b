//! The small words of a definition: names, durations, times.

use super::reader::{Found, Section};
use crate::decode::parse_rfc3339;

const UNITS: [(&str, i64); 5] = [
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];
/// The longest duration: a hundred years.
const DURATION_MAX_US: i64 = 36_500 * 86_400_000_000;
/// Characters that a name may have.
const NAME_MAX: usize = 64;

/// Microseconds of `30m`: a whole number and a unit.
pub(super) fn duration(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let micros = number.parse::<i64>().ok()?.checked_mul(factor)?;
    (micros <= DURATION_MAX_US).then_some(micros)
}

/// Whether an SQL expression can name it without quotes.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl<'d> Section<'d, '_, '_> {
    /// A name that must be there.
    pub(super) fn need_name(&self, key: &str) -> Option<Found<&'d str>> {
        let found = self.need_text(key)?;
        self.check_name(key, found).then_some(found)
    }

    /// Reports what is not a name.
    pub(super) fn check_name(&self, what: &str, found: Found<&str>) -> bool {
        let good = is_name(found.value);
        if !good {
            self.mistake(
                found.line,
                format!(
                    "{what} {:?} is not a name; expected a small letter, then at most {} small letters, digits and `_`",
                    found.value,
                    NAME_MAX - 1
                ),
            );
        }
        good
    }

    /// A duration in microseconds, if the key is there; `zero` says whether none at all is allowed.
    pub(super) fn duration(&self, key: &str, zero: bool) -> Option<Found<i64>> {
        let text = self.text(key)?;
        let micros = duration(text.value).filter(|micros| zero || *micros > 0);
        if micros.is_none() {
            self.mistake(
                text.line,
                format!(
                    "`{key}` is {:?}; expected a duration of at most 36500d{} with one of the units ms, s, m, h, d, such as \"30m\"",
                    text.value,
                    if zero { "" } else { ", not zero," },
                ),
            );
        }
        micros.map(|value| Found { value, line: text.line })
    }

    /// A duration that must be there.
    pub(super) fn need_duration(&self, key: &str, zero: bool) -> Option<Found<i64>> {
        self.need(key, "a duration such as \"30m\"", self.duration(key, zero))
    }

    /// A time in microseconds since the epoch, written in RFC 3339.
    pub(super) fn need_time(&self, key: &str) -> Option<Found<i64>> {
        let text = self.need(key, "an RFC 3339 time", self.text(key))?;
        let micros = parse_rfc3339(text.value);
        if micros.is_none() {
            self.mistake(
                text.line,
                format!(
                    "`{key}` is {:?}; expected a time such as \"2026-01-31T12:00:00Z\"",
                    text.value
                ),
            );
        }
        micros.map(|value| Found { value, line: text.line })
    }
}
