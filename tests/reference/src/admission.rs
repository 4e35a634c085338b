//! Which records count: one after the other, in offset order, and nothing is ever forgotten.

use std::collections::HashMap;

use crate::{Broken, Event, Verdict};
use definitions::{Reason, Source};

/// Identities within the lateness that a key may have.
const IDENTITIES_MAX: usize = 4096;

/// An admitted event with its effective time and its offset.
#[derive(Debug, Clone)]
pub struct Admitted<E> {
    /// Effective time.
    pub at: i64,
    /// Offset.
    pub offset: u64,
    /// The event.
    pub event: E,
}

/// What became of the records of a partition in a lane.
#[derive(Debug)]
pub struct Admission<E> {
    /// One per record, in offset order.
    pub verdicts: Vec<Verdict>,
    /// The events that count, in offset order.
    pub admitted: Vec<Admitted<E>>,
    /// Where the watermark stands; `None`: no record has raised it.
    pub watermark: Option<i64>,
}

/// Judges the records of one partition, which come in offset order.
pub fn admit<E: Event + Clone>(
    source: &Source,
    records: impl IntoIterator<Item = (u64, E)>,
    broken: Broken,
) -> Admission<E> {
    let mut judge = Judge { source, broken, watermark: None, by_key: HashMap::new() };
    let (mut verdicts, mut admitted) = (Vec::new(), Vec::new());
    for (offset, event) in records {
        match judge.judge(&event) {
            Ok(at) => {
                verdicts.push(Verdict::Applied);
                admitted.push(Admitted { at, offset, event });
            }
            Err(verdict) => verdicts.push(verdict),
        }
    }
    Admission { verdicts, admitted, watermark: judge.watermark }
}

struct Judge<'a> {
    source: &'a Source,
    broken: Broken,
    watermark: Option<i64>,
    /// Of each stream key, all that was ever admitted.
    by_key: HashMap<String, Vec<Known>>,
}

struct Known {
    id: String,
    sent: i64,
    at: i64,
}

impl Judge<'_> {
    /// The effective time of a record that counts, or the verdict on one that does not.
    fn judge(&mut self, event: &impl Event) -> Result<i64, Verdict> {
        let lateness = i128::from(self.source.allowed_lateness_us);
        if let Some(reason) = event.rejected() {
            return Err(Verdict::DeadLettered(reason));
        }
        let append = i128::from(event.append_ms()) * 1000;
        if i128::from(event.sent()) > append + i128::from(self.source.max_future_us) {
            return Err(Verdict::DeadLettered(Reason::Future));
        }
        let at = i128::from(event.sent()).min(append) as i64;
        let at_the_mark_too = self.broken.late_at_the_watermark;
        let is_late = |mark: i64| if at_the_mark_too { at <= mark } else { at < mark };
        if self.watermark.is_some_and(is_late) {
            return Err(Verdict::Late);
        }
        let risen = (i128::from(at) - lateness).max(i128::from(i64::MIN)) as i64;
        self.watermark = Some(self.watermark.map_or(risen, |mark| mark.max(risen)));
        if !self.by_key.contains_key(event.key()) {
            self.by_key.insert(event.key().to_owned(), Vec::new());
        }
        let of_key = self.by_key.get_mut(event.key()).expect("just inserted");
        // Nothing is ever forgotten here: what the fold forgets must be late anyway.
        let same = |known: &Known| known.sent == event.sent() && known.id == event.id();
        if !self.broken.copies_count && of_key.iter().any(same) {
            return Err(Verdict::Duplicate);
        }
        let greatest = of_key.iter().map(|known| known.at).fold(at, i64::max);
        let oldest = i128::from(greatest) - lateness;
        let live = of_key.iter().filter(|known| i128::from(known.sent) >= oldest);
        if live.count() >= IDENTITIES_MAX {
            return Err(Verdict::DeadLettered(Reason::KeyFlood));
        }
        of_key.push(Known { id: event.id().to_owned(), sent: event.sent(), at });
        Ok(at)
    }
}
