//! What an updater measures of each lane: what became of its records, how long commits took, and how long
//! after its append an event was visible. Counted where a batch is committed, never where a record is folded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use definitions::Reason;
use fold::Ledger;
use record::{AppendTime, EventTime, Record};
use runtime::histogram::{self, Histogram};

/// What was measured of a lane, in the partitions that the updater had, since it started.
#[derive(Debug, Clone)]
pub struct Measures {
    /// Records by what became of them. Together they are what the lane's heads rose by: a record counts
    /// again only where a store went back and it was folded again.
    pub records: Ledger,
    /// Its dead letters by reason.
    pub dead_letters: Vec<(Reason, u64)>,
    /// From the first attempt to commit until the store had taken it.
    pub commit: histogram::Snapshot,
    /// From the append until the commit, of records that were appended since the updater started. Logs tell
    /// whole milliseconds.
    pub visible: histogram::Snapshot,
}

/// Dead letters by reason.
pub(super) type Reasons = [u64; Reason::ALL.len()];

/// Measures of one lane.
#[derive(Debug, Default)]
pub(super) struct Cells {
    applied: AtomicU64,
    duplicate: AtomicU64,
    late: AtomicU64,
    dead_lettered: AtomicU64,
    reasons: [AtomicU64; Reason::ALL.len()],
    commit: Histogram,
    visible: Histogram,
}

impl Cells {
    /// A commit took the head's ledger from `before` to `after`.
    pub(super) fn committed(
        &self,
        before: Ledger,
        after: Ledger,
        reasons: &Reasons,
        took: Duration,
    ) {
        let counts = [
            (&self.applied, before.applied, after.applied),
            (&self.duplicate, before.duplicate, after.duplicate),
            (&self.late, before.late, after.late),
            (&self.dead_lettered, before.dead_lettered, after.dead_lettered),
        ];
        for (cell, before, after) in counts {
            cell.fetch_add(after - before, Ordering::Relaxed);
        }
        for (cell, count) in self.reasons.iter().zip(reasons).filter(|(_, count)| **count > 0) {
            cell.fetch_add(*count, Ordering::Relaxed);
        }
        self.commit.add(took);
    }

    /// These records can be read since `now`.
    pub(super) fn visible(&self, records: &[Record], now: EventTime) {
        // A batch has few append times: they are whole milliseconds, and rise.
        for of_one_time in records.chunk_by(|a, b| a.append_time == b.append_time) {
            let age = age(of_one_time[0].append_time, now);
            self.visible.add_many(age, of_one_time.len() as u64);
        }
    }

    pub(super) fn snapshot(&self) -> Measures {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let reasons = Reason::ALL.into_iter().zip(self.reasons.iter().map(count));
        Measures {
            records: Ledger {
                applied: count(&self.applied),
                duplicate: count(&self.duplicate),
                late: count(&self.late),
                dead_lettered: count(&self.dead_lettered),
            },
            dead_letters: reasons.collect(),
            commit: self.commit.snapshot(),
            visible: self.visible.snapshot(),
        }
    }
}

/// How long before `now` something was appended; nothing, where the log's clock is ahead of ours.
pub(super) fn age(appended: AppendTime, now: EventTime) -> Duration {
    let us = now.0.saturating_sub(appended.0.saturating_mul(1000));
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use record::{Offset, Partition};

    use super::*;

    #[test]
    fn each_record_has_the_age_of_its_own_append() {
        let record = |at_ms| Record {
            partition: Partition(0),
            offset: Offset(0),
            append_time: AppendTime(at_ms),
            key: Vec::new(),
            value: Vec::new(),
            trace: None,
        };
        let cells = Cells::default();
        cells.visible(&[1, 1, 1, 5, 9, 20].map(record), EventTime(9_500));
        let visible = cells.snapshot().visible;
        assert_eq!((visible.count(), visible.max), (6, Duration::from_micros(8_500)));
        assert_eq!(visible.sum, Duration::from_micros(3 * 8_500 + 4_500 + 500));
    }

    #[test]
    fn reasons_have_the_places_that_they_are_counted_at() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }
}
