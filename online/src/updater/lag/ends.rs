//! Where a partition ended, and when: from that it can be told when an offset came.

use std::collections::VecDeque;
use std::time::Duration;

use record::Offset;

/// Ends that are remembered of a partition. Where it grows all the time and is looked at each second, that
/// is half an hour; what came before is told otherwise.
const ENDS_MAX: usize = 1800;

/// Ends of one partition that were seen, from old to new.
#[derive(Debug, Default)]
pub(super) struct Ends(VecDeque<End>);

#[derive(Debug)]
struct End {
    next: Offset,
    /// When it was seen first …
    first: Duration,
    /// … and last.
    last: Duration,
}

impl Ends {
    /// The partition ends at `next`.
    pub(super) fn add(&mut self, now: Duration, next: Offset) {
        match self.0.back_mut() {
            Some(end) if end.next == next => {
                end.last = now;
                return;
            }
            // Another log, or one that was damaged: what was seen of it is worth nothing.
            Some(end) if end.next > next => self.0.clear(),
            _ => {}
        }
        self.0.push_back(End { next, first: now, last: now });
        if self.0.len() > ENDS_MAX {
            self.0.pop_front();
        }
    }

    /// When the record at `at` came, as if records had come evenly between two looks. `None`: before the
    /// first look, or not yet.
    pub(super) fn came(&self, at: Offset) -> Option<Duration> {
        let after = self.0.partition_point(|end| end.next <= at);
        let end = self.0.get(after)?;
        let start = self.0.get(after.checked_sub(1)?)?;
        let share = (at.0 - start.next.0) as f64 / (end.next.0 - start.next.0) as f64;
        Some(start.last + (end.first - start.last).mul_f64(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_offset_came_between_the_looks_that_it_lies_between() {
        let mut ends = Ends::default();
        for (at, end) in [(1, 100), (2, 100), (4, 300), (6, 300), (7, 310)] {
            ends.add(s(at), Offset(end));
        }
        assert_eq!(ends.came(Offset(99)), None, "before the first look");
        assert_eq!(ends.came(Offset(100)), Some(s(2)), "it was not there at 2 s");
        assert_eq!(ends.came(Offset(200)), Some(s(3)));
        assert_eq!(ends.came(Offset(300)), Some(s(6)));
        assert_eq!(ends.came(Offset(310)), None, "not yet");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends_with_its_log() {
        let mut ends = Ends::default();
        (0..5000).for_each(|n| ends.add(s(n), Offset(n)));
        assert_eq!(ends.0.len(), ENDS_MAX);
        assert_eq!(ends.came(Offset(5000 - ENDS_MAX as u64)), Some(s(5000 - ENDS_MAX as u64)));
        ends.add(s(6000), Offset(3));
        assert_eq!((ends.came(Offset(2)), ends.0.len()), (None, 1));
    }
}
