//! A sweep cannot be seen: keys that are dropped as soon as one may take them, and folded anew when they
//! come back, have the bytes, the values and the verdicts of keys that were never dropped.

use std::{collections::BTreeSet, sync::Arc};

use definitions::{Group, Lane, Operation, Window};
use fold::{EntityState, Head, LanePartition, StateKey, Verdict, encode_values, read_time};
use proptest::{collection::vec, prelude::*, sample::Index};
use record::{EventTime, Partition};

use super::{
    fixture::*,
    stream::{Vectors, marked},
};

const PARTITIONS: usize = 2;

type Spec = (usize, Operation, Option<usize>, Option<f64>);

/// The lane over `operations` with these TTLs.
fn lane_with(by_item: bool, ttl: [i64; 2], operations: &[Spec]) -> Arc<Lane> {
    let mut lane = Lane::clone(&lane_of(by_item, operations));
    for (group, ttl_us) in lane.groups.iter_mut().zip(ttl) {
        *group = Arc::new(Group { ttl_us, ..Group::clone(group) });
    }
    Arc::new(lane)
}

/// Every operation that does not reach past the greatest TTL.
fn sweepable(by_item: bool, ttl: [i64; 2]) -> Arc<Lane> {
    let all = operations();
    let whole = lane_with(by_item, ttl, &all);
    let stays = |index: &usize| {
        whole.reach_us(&whole.features[*index]).is_some_and(|us| us <= ttl[0].max(ttl[1]))
    };
    let stay: Vec<usize> = (0..all.len()).filter(stays).collect();
    let mut kept: Vec<Spec> = stay.iter().map(|index| all[*index].clone()).collect();
    for (_, operation, ..) in &mut kept {
        if let Operation::InterestVector { over, .. } = operation {
            *over = stay.iter().position(|index| index == over).expect("the sequence stays too");
        }
    }
    lane_with(by_item, ttl, &kept)
}

/// A lane's partitions, each in memory and in its store.
struct Side {
    lane: Arc<Lane>,
    partitions: Vec<LanePartition>,
    stores: Vec<Store>,
}

impl Side {
    fn new(lane: &Arc<Lane>) -> Self {
        let partitions = (0..PARTITIONS as u32).map(Partition);
        let start = |partition| LanePartition::new(Arc::clone(lane), partition, Head::start(LOG));
        Self {
            lane: Arc::clone(lane),
            partitions: partitions.map(start).collect(),
            stores: vec![Store::new(); PARTITIONS],
        }
    }

    /// Folds and commits `events[from..until]` of one partition.
    fn step(&mut self, at: usize, events: &[Event], from: usize, until: usize) -> Vec<Verdict> {
        let (partition, store) = (&mut self.partitions[at], &mut self.stores[at]);
        let mut batch = batch(events, from, until);
        batch.partition = Partition(at as u32);
        for key in partition.missing(&batch) {
            let bytes = store.get(&key).cloned();
            partition.load(key, bytes.as_deref()).expect("bytes of a commit");
        }
        let verdicts = partition.apply(&batch, &columns(&events[from..until]));
        commit(partition, store);
        verdicts.into_iter().map(|(_, verdict)| verdict).collect()
    }

    fn watermark(&self, at: usize) -> EventTime {
        self.partitions[at].head().watermark
    }

    /// Drops the keys whose last event lies more than `after_us` before the watermark; how many.
    fn sweep(&mut self, at: usize, after_us: i64) -> usize {
        let watermark = self.watermark(at);
        let before = self.stores[at].len();
        self.stores[at].retain(|_, bytes| watermark <= greatest(bytes).plus(after_us));
        let swept = before - self.stores[at].len();
        if swept > 0 {
            let head = self.partitions[at].head().clone();
            let lane = Arc::clone(&self.lane);
            self.partitions[at] = LanePartition::new(lane, Partition(at as u32), head);
        }
        swept
    }

    /// The values of an entity, its partials merged, at `as_of` or as soon after as can be.
    fn values(&self, key: &StateKey, as_of: EventTime) -> Vec<u8> {
        let mut state = EntityState::empty(&self.lane);
        for bytes in self.stores.iter().filter_map(|store| store.get(key)) {
            state.merge(&EntityState::decode(&self.lane, bytes).expect("bytes of a commit"));
        }
        let at = read_time(as_of, &state, (0..PARTITIONS).map(|at| self.watermark(at)));
        encode_values(&state.values(&self.lane, at, Some(&Vectors::new())))
    }
}

fn greatest(bytes: &[u8]) -> EventTime {
    EntityState::greatest_of(bytes).expect("bytes of a commit")
}

/// How many keys were swept, and how many of them came back.
#[derive(Debug, Default)]
struct Tally {
    swept: usize,
    revived: usize,
}

/// Folds a log twice, sweeping after each step on one side; the first difference.
fn compare(
    lane: &Arc<Lane>,
    events: &[Event],
    steps: &[(usize, usize)],
    after_us: i64,
) -> Result<Tally, String> {
    let of = |event: &Event| usize::from(!event.visitor.ends_with('0'));
    let logs: Vec<Vec<Event>> = (0..PARTITIONS)
        .map(|at| events.iter().filter(|event| of(event) == at).cloned().collect())
        .collect();
    let (mut kept, mut swept) = (Side::new(lane), Side::new(lane));
    let (mut tally, mut gone) = (Tally::default(), BTreeSet::new());
    for &(from, until) in steps {
        for (at, log) in logs.iter().enumerate() {
            let place = |end: usize| events[..end].iter().filter(|event| of(event) == at).count();
            let (from, until) = (place(from), place(until));
            let verdicts = kept.step(at, log, from, until);
            if verdicts != swept.step(at, log, from, until) {
                return Err("the verdicts differ".to_owned());
            }
            tally.swept += swept.sweep(at, after_us);
            let watermark = kept.watermark(at);
            for (key, bytes) in &kept.stores[at] {
                match swept.stores[at].get(key) {
                    Some(other) if other != bytes => return Err(format!("{key:?}: other bytes")),
                    Some(_) => tally.revived += usize::from(gone.remove(&(at, key.clone()))),
                    None if watermark > greatest(bytes).plus(after_us) => {
                        gone.insert((at, key.clone()));
                    }
                    None => return Err(format!("{key:?}: a state is missing")),
                }
            }
        }
        let keys: BTreeSet<&StateKey> = kept.stores.iter().flat_map(|store| store.keys()).collect();
        for key in keys.into_iter().filter(|key| key.entity_key(lane).is_some()) {
            let now = (0..PARTITIONS).map(|at| kept.watermark(at)).max().expect("partitions");
            for ahead in [i64::MIN / 4, 0, 7 * SECOND, 90 * SECOND, 350 * SECOND] {
                let as_of = now.plus(ahead);
                if kept.values(key, as_of) != swept.values(key, as_of) {
                    return Err(format!("{key:?}: other values {ahead} µs after the watermark"));
                }
            }
        }
    }
    Ok(tally)
}

/// A log with long silences, and records that come again after them.
fn log_with_gaps() -> impl Strategy<Value = Vec<Event>> {
    let gap = prop_oneof![0..100i64, 150..250i64, 330..560i64, 800..1000i64];
    let gaps = vec((any::<Index>(), gap), 1..5);
    let again = vec((any::<Index>(), any::<Index>()), 0..8);
    (log(80), gaps, again).prop_map(|(mut events, gaps, again)| {
        for (index, gap_s) in gaps {
            let from = index.index(events.len());
            for event in &mut events[from..] {
                event.sent += gap_s * SECOND;
                event.append_ms += gap_s * 1000;
            }
        }
        for (one, other) in again {
            let (one, other) = (one.index(events.len()), other.index(events.len()));
            let (first, second) = (one.min(other), one.max(other));
            events[second] = Event { append_ms: events[second].append_ms, ..events[first].clone() };
        }
        events
    })
}

/// TTLs above and below the tolerance for clocks that run fast.
const TTLS: [[i64; 2]; 2] = [TTL, [120 * SECOND, 90 * SECOND]];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn nobody_can_tell_a_swept_key_from_one_that_was_kept(
        events in log_with_gaps(),
        at in vec(any::<Index>(), 1..30),
        by_item: bool,
        short: bool,
    ) {
        let lane = sweepable(by_item, TTLS[usize::from(short)]);
        let after_us = lane.sweep_after_us().expect("a lane whose keys may be swept");
        let events = marked(&lane, &events);
        let steps = cuts(events.len(), &at);
        prop_assert_eq!(compare(&lane, &events, &steps, after_us).err(), None);
    }
}

#[test]
fn keys_are_swept_come_back_and_a_sweep_that_comes_too_early_is_noticed() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = (log_with_gaps(), vec(any::<Index>(), 10..30));
    let logs: Vec<_> =
        (0..160).map(|_| strategy.new_tree(&mut runner).expect("a log").current()).collect();
    for (by_item, ttl) in [(false, TTLS[0]), (true, TTLS[0]), (false, TTLS[1]), (true, TTLS[1])] {
        let lane = sweepable(by_item, ttl);
        let after_us = lane.sweep_after_us().expect("a lane whose keys may be swept");
        let (mut sum, mut early) = (Tally::default(), 0);
        for (events, at) in &logs {
            let (events, steps) = (marked(&lane, events), cuts(events.len(), at));
            let tally = compare(&lane, &events, &steps, after_us).expect("no difference");
            sum.swept += tally.swept;
            sum.revived += tally.revived;
            early += usize::from(compare(&lane, &events, &steps, LATENESS).is_err());
        }
        assert!(sum.swept > 20 && sum.revived > 10, "{by_item}, {ttl:?}: {sum:?}");
        assert!(early > 10, "{by_item}, {ttl:?}: {early}");
    }
}

#[test]
fn every_aggregate_is_in_the_lanes_that_are_swept() {
    let lane = sweepable(false, TTLS[0]);
    let kinds = lane.features.iter().map(|feature| std::mem::discriminant(&feature.operation));
    let all = operations().into_iter().map(|spec| std::mem::discriminant(&spec.1));
    let (mut kinds, mut all): (Vec<_>, Vec<_>) = (kinds.collect(), all.collect());
    for list in [&mut kinds, &mut all] {
        let mut seen = Vec::new();
        list.retain(|kind| {
            let is_new = !seen.contains(kind);
            seen.push(*kind);
            is_new
        });
    }
    assert_eq!(kinds.len(), all.len());
}

#[test]
fn what_reaches_past_every_ttl_keeps_its_keys_for_ever() {
    let of = |operation: Operation| lane_of(false, &[(1, operation, None, None)]);
    for reaching in [
        Operation::Count { window: Window::Lifetime },
        Operation::Count { window: sliding(410, 10) },
        Operation::Sum { value: AMOUNT, scale: 0, window: Window::Lifetime },
        Operation::CountBy { by: CATEGORY, limit: 3, window: Window::Lifetime },
        Operation::DecayedSum { value: None, scale: 0, half_life_us: 10 * SECOND + 1 },
    ] {
        let lane = of(reaching);
        assert_eq!(lane.sweep_after_us(), None);
        assert_eq!(lane.kept_by(), Some(&lane.features[0]));
        assert!(!lane.may_sweep(EventTime(0), EventTime(i64::MAX)));
    }
    let lane = of(Operation::DecayedSum { value: None, scale: 0, half_life_us: 10 * SECOND });
    // The TTL of the lane is that of its other group, 400 s.
    assert_eq!(lane.sweep_after_us(), Some(TTL[0] + LATENESS));
    let last = EventTime(BASE);
    assert!(!lane.may_sweep(last, last.plus(TTL[0] + LATENESS)));
    assert!(lane.may_sweep(last, last.plus(TTL[0] + LATENESS + 1)));
}

fn event(id: usize, visitor: usize, item: &str, sent_s: i64) -> Event {
    Event {
        id: format!("{id}"),
        visitor: format!("visitor {visitor}"),
        item: item.to_owned(),
        kind: "view",
        category: None,
        amount: None,
        sent: BASE + sent_s * SECOND,
        append_ms: BASE / 1000 + sent_s * 1000,
        broken: None,
    }
}

fn one_by_one(events: &[Event]) -> Vec<(usize, usize)> {
    (0..events.len()).map(|at| (at, at + 1)).collect()
}

/// Another partition's partial is younger, so that the merged key still shows what lies in this one.
#[test]
fn a_partial_is_kept_while_another_one_makes_it_visible() {
    let lane = lane_of(true, &[(0, Operation::Last { value: CATEGORY }, None, None)]);
    let first = Event { category: Some("old".into()), ..event(0, 0, "x", 0) };
    let events = [first, event(1, 1, "x", 350), event(2, 0, "y", 521)];
    let steps = one_by_one(&events);
    let early = compare(&lane, &events, &steps, TTL[0] + LATENESS).expect_err("it can be seen");
    assert!(early.contains("other values"), "{early}");
    let after_us = lane.sweep_after_us().expect("a lane whose keys may be swept");
    assert_eq!(after_us, 2 * TTL[0] + LATENESS);
    compare(&lane, &events, &steps, after_us).expect("no difference");
}

/// An event from a clock that ran fast is known by a time that lies past the TTL.
#[test]
fn an_identity_is_kept_while_its_copy_may_come() {
    let operation = Operation::Count { window: sliding(60, 10) };
    let ttl = [100 * SECOND, 90 * SECOND];
    let lane = lane_with(false, ttl, &[(0, operation, None, None)]);
    let fast = Event { sent: BASE + MAX_FUTURE, ..event(0, 0, "x", 0) };
    let copy = Event { append_ms: BASE / 1000 + 225_000, ..fast.clone() };
    let events = [fast, event(1, 10, "y", 221), copy];
    let steps = one_by_one(&events);
    let early = compare(&lane, &events, &steps, ttl[0] + LATENESS).expect_err("it can be seen");
    assert!(early.contains("verdicts"), "{early}");
    let after_us = lane.sweep_after_us().expect("a lane whose keys may be swept");
    assert_eq!(after_us, MAX_FUTURE + LATENESS);
    compare(&lane, &events, &steps, after_us).expect("no difference");
}
