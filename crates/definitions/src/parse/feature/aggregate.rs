//! What an aggregate is made of: values, bounds, windows.

use crate::parse::reader::Section;
use crate::{AggregateSpec, Window};

/// Tiles that a window may have.
const TILES_MAX: i64 = 1024;
/// Keys per tile of a count `by`.
const KEYS_MAX: i64 = 4096;
/// Elements of a sequence.
const SEQUENCE_MAX: i64 = 1000;
/// Decimal digits of a sum.
const SCALE_MAX: i64 = 9;

/// The aggregate of this word, from the keys that it takes.
pub(super) fn read(section: &Section<'_, '_, '_>, word: &str) -> Option<AggregateSpec> {
    let text = |key: &str| section.need_text(key).map(|found| found.value.to_owned());
    match word {
        "count" if section.has("by") => {
            let (by, limit, window) = (text("by"), limit(section, KEYS_MAX), window(section));
            Some(AggregateSpec::CountBy { by: by?, limit: limit?, window: window? })
        }
        "count" => {
            if section.has("limit") {
                section.mistake(section.line_of("limit"), "`limit` of a count needs `by`");
            }
            Some(AggregateSpec::Count { window: window(section)? })
        }
        "sum" => {
            let (value, scale, window) = (text("value"), scale(section), window(section));
            Some(AggregateSpec::Sum { value: value?, scale: scale?, window: window? })
        }
        "last" => Some(AggregateSpec::Last { value: text("value")? }),
        "sequence" => {
            let tag = section.text("tag").map(|found| found.value.to_owned());
            let (value, limit) = (text("value"), limit(section, SEQUENCE_MAX));
            Some(AggregateSpec::Sequence { value: value?, tag, limit: limit? })
        }
        "decayed_sum" => {
            let value = section.text("value").map(|found| found.value.to_owned());
            let (scale, half_life) = (scale(section), section.need_duration("half_life", false));
            Some(AggregateSpec::DecayedSum { value, scale: scale?, half_life_us: half_life?.value })
        }
        "interest_vector" => {
            let (over, half_life) = (text("over"), section.need_duration("half_life", false));
            Some(AggregateSpec::InterestVector { over: over?, half_life_us: half_life?.value })
        }
        _ => None,
    }
}

/// An integer between bounds that must be there.
fn bounded(section: &Section<'_, '_, '_>, key: &str, from: i64, to: i64) -> Option<i64> {
    let expected = format!("an integer from {from} to {to}");
    let found = section.need(key, &expected, section.integer(key))?;
    if !(from..=to).contains(&found.value) {
        section.mistake(found.line, format!("`{key}` is {}; expected {expected}", found.value));
        return None;
    }
    Some(found.value)
}

fn limit(section: &Section<'_, '_, '_>, max: i64) -> Option<u32> {
    bounded(section, "limit", 1, max).and_then(|limit| u32::try_from(limit).ok())
}

fn scale(section: &Section<'_, '_, '_>) -> Option<u8> {
    bounded(section, "scale", 0, SCALE_MAX).and_then(|scale| u8::try_from(scale).ok())
}

/// `window` with `hop`; neither means everything.
fn window(section: &Section<'_, '_, '_>) -> Option<Window> {
    let wanted = (section.has("window"), section.has("hop"));
    let (window, hop) = (section.duration("window", false), section.duration("hop", false));
    match (window, hop) {
        (None, None) if wanted == (false, false) => Some(Window::Lifetime),
        (Some(window), Some(hop)) => {
            let (window_us, hop_us) = (window.value, hop.value);
            if window_us % hop_us != 0 {
                let message = "`window` is not a multiple of `hop`; expected one, so that the tail moves in whole hops";
                section.mistake(window.line, message);
                return None;
            }
            if window_us / hop_us > TILES_MAX {
                section.mistake(
                    hop.line,
                    format!(
                        "`window` has {} hops; expected at most {TILES_MAX}",
                        window_us / hop_us
                    ),
                );
                return None;
            }
            Some(Window::Sliding { window_us, hop_us })
        }
        _ => {
            if wanted == (true, false) {
                section.mistake(
                    section.line_of("window"),
                    "`window` needs `hop`, the step of its tail, such as \"1h\"",
                );
            } else if wanted == (false, true) {
                section.mistake(section.line_of("hop"), "`hop` needs `window`");
            }
            None
        }
    }
}
