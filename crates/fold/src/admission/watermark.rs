use definitions::{Reason, Source};
use record::{AppendTime, EventTime};

use crate::Verdict;

/// The part of admission that depends on the partition's prefix: future, late, and the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    at: EventTime,
    lateness_us: i64,
    max_future_us: i64,
}

impl Watermark {
    /// The watermark of a partition of `source`: `at` is what its head says, or
    /// [`EventTime::MIN`] where nothing was read.
    #[must_use]
    pub fn new(source: &Source, at: EventTime) -> Self {
        Self { at, lateness_us: source.allowed_lateness_us, max_future_us: source.max_future_us }
    }

    /// Where it stands: greatest effective time judged, less the allowed lateness.
    #[must_use]
    pub fn at(&self) -> EventTime {
        self.at
    }

    /// Judges the next record in offset order and rises. Gives the effective time of a record that may be
    /// admitted, if its key has not seen it.
    ///
    /// # Errors
    /// The verdict on a record that lies in the future of its append time, or before the watermark.
    #[inline]
    pub fn judge(&mut self, event: EventTime, append: AppendTime) -> Result<EventTime, Verdict> {
        if is_future(event, append, self.max_future_us) {
            return Err(Verdict::DeadLettered(Reason::Future));
        }
        let effective = event.effective(append);
        if effective < self.at {
            return Err(Verdict::Late);
        }
        self.at = self.at.max(EventTime(effective.0.saturating_sub(self.lateness_us)));
        Ok(effective)
    }
}

/// Whether an event claims to lie further after its append than its source allows.
#[inline]
pub(super) fn is_future(event: EventTime, append: AppendTime, max_future_us: i64) -> bool {
    event > append.as_event_time().plus(max_future_us)
}
