//! Which keys are swept, and when they are looked for: decisions only.
//!
//! A stream key (a visitor) whose state no read and no admission can see any more ([`Lane::may_sweep`]) is
//! removed by the next commit of its (lane, partition) that does not change it. Nobody can tell that it is gone,
//! so nobody has to be told. Keys of items stay: there are no more of them than the catalogue ever had, and an
//! item that nobody looked at for months is still one that the table knows.
//!
//! They are found by walks over the store, one page after a commit. A walk begins where the updater takes a
//! (lane, partition) over, and again when the oldest key that it left may go, but not before a share of the
//! time has passed that keys are kept: so a walk's work is spread over many commits, walks are rare, and the keys that
//! stay for too long are few.

use definitions::Lane;
use fold::{Changes, EntityState, Error, StateKey};
use online_store::Page;
use record::EventTime;

/// Walks in the time that keys are kept, at most.
const WALKS_MAX: i64 = 16;

/// The sweeping of one (lane, partition).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sweep {
    phase: Phase,
    /// Keys that may go.
    found: Vec<StateKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nobody has committed anything yet.
    New,
    /// No key may go before the watermark is past `until`, or only a few.
    Resting { until: EventTime },
    /// A walk is to begin.
    Due,
    /// A walk is under way. No key that it has left, or that was written since it began, is older than `oldest`.
    Walking { from: Vec<u8>, oldest: EventTime },
}

impl Sweep {
    /// Of a (lane, partition) that was claimed just now, or read again.
    pub(super) fn new(is_stored: bool) -> Self {
        Self { phase: if is_stored { Phase::Due } else { Phase::New }, found: Vec::new() }
    }

    /// Adds the removal of the keys that were found to a commit, but of those that it changes: they have come
    /// back. Returns how many are removed.
    pub(super) fn add_to(&mut self, changes: &mut Changes) -> usize {
        let (mut found, before) = (std::mem::take(&mut self.found), changes.states.len());
        // A page may show a key twice.
        found.sort_unstable();
        found.dedup();
        for key in found {
            let same = |(changed, _): &(StateKey, _)| changed.cmp(&key);
            if changes.states[..before].binary_search_by(same).is_err() {
                changes.states.push((key, None));
            }
        }
        let removed = changes.states.len() - before;
        changes.states.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        removed
    }

    /// Where the next page is to be read from, after a commit whose watermark this is; `None`: there is nothing to
    /// look for.
    pub(super) fn next_page(&mut self, lane: &Lane, watermark: EventTime) -> Option<&[u8]> {
        let after_us = lane.sweep_after_us()?;
        match self.phase {
            Phase::New => self.phase = Phase::Resting { until: watermark.plus(after_us) },
            Phase::Due => self.begin(watermark),
            Phase::Resting { until } if watermark > until => self.begin(watermark),
            Phase::Resting { .. } | Phase::Walking { .. } => {}
        }
        match &self.phase {
            Phase::Walking { from, .. } => Some(from),
            Phase::New | Phase::Resting { .. } | Phase::Due => None,
        }
    }

    /// What comes from here on is not late, so it is no older than the watermark.
    fn begin(&mut self, watermark: EventTime) {
        self.phase = Phase::Walking { from: Vec::new(), oldest: watermark };
    }

    /// Takes what a page shows of the states as they are at `watermark`.
    ///
    /// # Errors
    /// When a state's bytes are damaged.
    pub(super) fn take(
        &mut self,
        lane: &Lane,
        page: Page,
        watermark: EventTime,
    ) -> Result<(), Error> {
        let Phase::Walking { from, oldest } = &mut self.phase else { return Ok(()) };
        for (key, state) in &page.states {
            let (key, greatest) = (StateKey::from_bytes(key), EntityState::greatest_of(state)?);
            if !key.is_stream() {
                continue;
            }
            match lane.may_sweep(greatest, watermark) {
                true => self.found.push(key),
                false => *oldest = greatest.min(*oldest),
            }
        }
        match page.next {
            Some(next) => *from = next,
            None => {
                let after_us = lane.sweep_after_us().unwrap_or(i64::MAX);
                let until = oldest.plus(after_us).max(watermark.plus(after_us / WALKS_MAX));
                self.phase = Phase::Resting { until };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use definitions::parse::{File, parse};
    use fold::LanePartition;
    use record::{AppendTime, LogId, Offset, Partition, Record};

    use super::*;

    const SECOND: i64 = 1_000_000;
    const START: EventTime = EventTime(1_700_000_000 * SECOND);
    /// One second of TTL and none of lateness.
    const AFTER_US: i64 = SECOND;

    fn lane() -> Arc<Lane> {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let source = "[source]\nname = \"s\"\ntopic = \"s\"\nformat = \"json\"\nkey = \"v\"\n\
                      event_id = \"id\"\nevent_time = \"at\"\nallowed_lateness = \"0s\"\nmax_future = \"0s\"\n\
                      earliest = \"2010-01-01T00:00:00Z\"\n[columns]\nid = \"string\"\nat = \"timestamp\"\n\
                      v = \"string\"\n";
        let group = "[group]\nname = \"g\"\nentity = \"visitor\"\nkey = \"v\"\nsource = \"s\"\nttl = \"1s\"\n\
                     [features.last]\naggregate = \"last\"\nvalue = \"v\"\n";
        let files = [file("sources/s.toml", source), file("groups/g.toml", group)];
        let lane = parse(&files).expect("good definitions").lanes().remove(0);
        assert_eq!(lane.sweep_after_us(), Some(AFTER_US));
        lane
    }

    /// The key and state of a visitor who was there at `START` and so many seconds.
    fn state(lane: &Arc<Lane>, visitor: &str, at_s: i64) -> (Vec<u8>, Vec<u8>) {
        let at = START.plus(at_s * SECOND).0;
        let value = format!("{{\"id\":\"1\",\"at\":{at},\"v\":\"{visitor}\"}}").into_bytes();
        let (partition, offset) = (Partition(0), Offset(0));
        let append_time = AppendTime(at / 1000 + 1);
        let record =
            Record { partition, offset, append_time, key: visitor.into(), value, trace: None };
        let decoder = definitions::decode::Decoder::new(Arc::clone(&lane.source), partition, 1);
        let batch = decoder.decode(&[record]);
        let mut fold =
            LanePartition::new(Arc::clone(lane), partition, fold::Head::start(LogId([0; 16])));
        fold.apply(&batch, &lane.evaluate(&batch));
        let (key, state) = fold.take_changes().states.remove(0);
        (key.as_bytes().to_vec(), state.expect("a state"))
    }

    fn page(states: Vec<(Vec<u8>, Vec<u8>)>, next: Option<&[u8]>) -> Page {
        Page { head: None, states, next: next.map(<[u8]>::to_vec) }
    }

    fn at(s: i64) -> EventTime {
        START.plus(s * SECOND)
    }

    #[test]
    fn a_walk_begins_at_a_takeover_and_again_when_its_oldest_key_may_go() {
        let lane = lane();
        let mut sweep = Sweep::new(true);
        assert_eq!(sweep.next_page(&lane, at(10)), Some(&[][..]));
        let states = vec![state(&lane, "gone", 0), state(&lane, "here", 10)];
        sweep.take(&lane, page(states, Some(b"more")), at(10)).unwrap();
        assert_eq!(sweep.next_page(&lane, at(10)), Some(&b"more"[..]));
        sweep.take(&lane, page(Vec::new(), None), at(10)).unwrap();
        assert_eq!(sweep.next_page(&lane, at(11)), None, "the oldest one may still be seen");
        assert_eq!(sweep.next_page(&lane, at(11).plus(1)), Some(&[][..]));
    }

    #[test]
    fn what_was_written_behind_a_walk_is_looked_for_in_time() {
        let lane = lane();
        let mut sweep = Sweep::new(true);
        sweep.next_page(&lane, at(10));
        sweep.take(&lane, page(Vec::new(), None), at(10)).unwrap();
        assert_eq!(sweep.next_page(&lane, at(11)), None);
        assert_eq!(sweep.next_page(&lane, at(11).plus(1)), Some(&[][..]));
        // Nothing was there before the first commit.
        let mut new = Sweep::new(false);
        assert_eq!(new.next_page(&lane, at(0)), None);
        assert_eq!(new.next_page(&lane, at(1)), None);
        assert_eq!(new.next_page(&lane, at(1).plus(1)), Some(&[][..]));
    }

    #[test]
    fn walks_are_not_closer_than_a_share_of_the_time_that_keys_are_kept() {
        let lane = lane();
        let mut sweep = Sweep::new(true);
        sweep.next_page(&lane, at(10));
        // It may go a moment after the walk.
        let oldest = state(&lane, "nearly gone", 9);
        sweep.take(&lane, page(vec![oldest], None), at(10)).unwrap();
        assert_eq!(sweep.next_page(&lane, at(10).plus(AFTER_US / WALKS_MAX)), None);
        assert!(sweep.next_page(&lane, at(10).plus(AFTER_US / WALKS_MAX + 1)).is_some());
    }

    #[test]
    fn what_a_commit_changes_is_not_removed_by_it() {
        let lane = lane();
        let mut sweep = Sweep::new(true);
        sweep.next_page(&lane, at(10));
        let gone = ["a", "b", "b", "c"].map(|visitor| state(&lane, visitor, 0));
        sweep.take(&lane, page(gone.to_vec(), Some(b"more")), at(10)).unwrap();
        let head = fold::Head::start(LogId([0; 16]));
        let back = (StateKey::stream("b"), Some(b"back".to_vec()));
        let mut changes = Changes { head, states: vec![back.clone()] };
        assert_eq!(sweep.add_to(&mut changes), 2);
        let gone = |visitor| (StateKey::stream(visitor), None);
        assert_eq!(changes.states, [gone("a"), back, gone("c")]);
        assert_eq!(sweep.add_to(&mut changes), 0, "once");
    }
}
