//! Stream = oracle: verdicts and values, at random batches, restarts and read times; and the oracle bites.

use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::{Lane, Reason};
use fold::{Embedding, EntityState, LanePartition, StateKey, Verdict, encode_values, read_time};
use proptest::{collection::vec, prelude::*, sample::Index};
use record::EventTime;

use super::{
    fixture::*,
    reference::{self, Admitted, Broken},
};

pub(super) struct Vectors(Vec<(String, [f32; 3])>);

impl Vectors {
    pub(super) fn new() -> Self {
        let names = (0..9).flat_map(|i| {
            [
                format!("item {i} of the catalogue, a long name"),
                format!("item {i}"),
                format!("category {i}"),
            ]
        });
        Self(names.filter_map(|name| Some((name.clone(), reference::vector_of(&name)?))).collect())
    }
}

impl Embedding for Vectors {
    fn digest(&self) -> [u8; 32] {
        [0; 32]
    }
    fn dimension(&self) -> usize {
        3
    }
    fn vector(&self, item: &str) -> Option<&[f32]> {
        self.0.iter().find(|(name, _)| name == item).map(|(_, vector)| vector.as_slice())
    }
}

/// The events of each entity of the lane; an event without one is a dead letter and never gets here.
pub(super) fn by_entity(lane: &Lane, admitted: &[Admitted]) -> BTreeMap<String, Vec<Admitted>> {
    let mut entities: BTreeMap<String, Vec<Admitted>> = BTreeMap::new();
    for seen in admitted {
        let key = if lane.is_stream_keyed() { &seen.event.visitor } else { &seen.event.item };
        entities.entry(key.clone()).or_default().push(seen.clone());
    }
    entities
}

/// An empty entity key is a dead letter of the lane: the reference is told so before it judges.
pub(super) fn marked(lane: &Lane, events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    if !lane.is_stream_keyed() {
        for event in events.iter_mut().filter(|event| event.item.is_empty()) {
            event.broken = event.broken.or(Some(Reason::MissingKey));
        }
    }
    events
}

/// The first difference between the stored states and the oracle, at some read times.
pub(super) fn difference(
    lane: &Arc<Lane>,
    store: &Store,
    admitted: &[Admitted],
    ahead: &[i64],
    broken: Broken,
) -> Option<String> {
    let vectors = Vectors::new();
    for (key, events) in by_entity(lane, admitted) {
        let Some(bytes) = store.get(&StateKey::entity(lane, &key)) else {
            return Some(format!("{key}: no state"));
        };
        let state = EntityState::decode(lane, bytes).expect("bytes of a commit");
        for ahead in ahead {
            let t = read_time(EventTime(BASE), &state, [state.greatest().plus(*ahead)]);
            let values = state.values(lane, t, Some(&vectors));
            for (feature, value) in values.iter().enumerate() {
                let expected = reference::value(lane, feature, &events, t.0, broken);
                if encode_values(std::slice::from_ref(value))
                    != encode_values(std::slice::from_ref(&expected))
                {
                    return Some(format!(
                        "{key} at {}: {:?}: {value:?}, the oracle says {expected:?}",
                        t.0, lane.features[feature].operation
                    ));
                }
            }
        }
    }
    None
}

/// Runs a log through commits and restarts, and gives store, partition and verdicts.
pub(super) fn run(
    lane: &Arc<Lane>,
    events: &[Event],
    at: &[Index],
    restart: bool,
) -> (Store, LanePartition, Vec<Verdict>) {
    let mut store = Store::new();
    let mut partition = start(lane);
    let mut verdicts = Vec::new();
    for (turn, (from, until)) in cuts(events.len(), at).into_iter().enumerate() {
        if restart && turn % 3 == 2 {
            let head = commit(&mut partition, &mut store);
            partition = LanePartition::new(Arc::clone(lane), record::Partition(3), head);
        } else if restart && turn % 3 == 1 {
            commit(&mut partition, &mut store);
            partition.evict(0);
            assert_eq!(partition.bytes(), 0, "clean states can all be dropped");
        }
        for key in partition.missing(&batch(events, from, until)) {
            let bytes = store.get(&key).cloned();
            partition.load(key, bytes.as_deref()).expect("bytes of a commit");
        }
        verdicts.extend(apply(&mut partition, events, from, until));
    }
    commit(&mut partition, &mut store);
    (store, partition, verdicts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn stream_equals_the_oracle(
        events in log(120),
        at in vec(any::<Index>(), 0..8),
        ahead in vec(0..500 * SECOND, 1..4),
        by_item: bool,
    ) {
        let lane = lane(by_item);
        let (store, partition, verdicts) = run(&lane, &events, &at, true);
        let (expected, admitted, watermark) = reference::admit(&marked(&lane, &events), Broken::default());
        prop_assert_eq!(&verdicts, &expected);
        let head = partition.head();
        prop_assert_eq!(head.watermark.0, watermark.unwrap_or(i64::MIN));
        prop_assert_eq!(head.ledger.read(), events.len() as u64);
        prop_assert_eq!(head.ledger.applied as usize, admitted.len());
        let boundaries = [0, 10 * SECOND, TTL[1], TTL[1] + 1, TTL[0], TTL[0] + 1];
        let times: Vec<i64> = ahead.into_iter().chain(boundaries).collect();
        prop_assert_eq!(difference(&lane, &store, &admitted, &times, Broken::default()), None);
    }

    #[test]
    fn batches_and_restarts_change_no_bit(
        events in log(120),
        at in vec(any::<Index>(), 0..12),
        by_item: bool,
    ) {
        let lane = lane(by_item);
        let whole = run(&lane, &events, &[], false);
        let pieces = run(&lane, &events, &at, true);
        prop_assert_eq!(&whole.0, &pieces.0);
        prop_assert_eq!(whole.1.head(), pieces.1.head());
        prop_assert_eq!(&whole.2, &pieces.2);
        for (key, bytes) in &whole.0 {
            prop_assert_eq!(whole.1.state(key), Some(bytes.clone()));
        }
    }

    #[test]
    fn a_replay_changes_nothing(events in log(60), again in any::<Index>()) {
        let lane = lane(false);
        let (store, mut partition, _) = run(&lane, &events, &[], false);
        let from = again.index(events.len());
        prop_assert_eq!(apply(&mut partition, &events, from, events.len()), []);
        let changes = partition.take_changes();
        prop_assert!(changes.states.is_empty());
        prop_assert_eq!(run(&lane, &events, &[], false).0, store);
    }
}

/// Logs by a fixed seed, for tests that look for something rather than everywhere.
fn some_logs(count: usize) -> Vec<Vec<Event>> {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = log(120);
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a log").current()).collect()
}

#[test]
fn the_oracle_bites() {
    let sound = Broken::default();
    let mutants = [
        Broken { window_holds_its_start: true, ..sound },
        Broken { window_moves_continuously: true, ..sound },
        Broken { late_at_the_watermark: true, ..sound },
        Broken { copies_count: true, ..sound },
        Broken { ttl_includes_less: true, ..sound },
        Broken { ties_by_arrival_only: true, ..sound },
        Broken { one_epoch_fewer: true, ..sound },
        Broken { cap_is_one_lower: true, ..sound },
    ];
    let lane = lane(false);
    let times = [0, 7 * SECOND, 10 * SECOND, 25 * SECOND, TTL[1], TTL[0]];
    let logs = some_logs(60);
    let differs = |broken: Broken| {
        logs.iter().any(|events| {
            let (store, _, verdicts) = run(&lane, events, &[], false);
            let (expected, admitted, _) = reference::admit(events, broken);
            verdicts != expected || difference(&lane, &store, &admitted, &times, broken).is_some()
        })
    };
    assert!(!differs(sound), "the sound reference agrees");
    for mutant in mutants {
        assert!(differs(mutant), "not noticed: {mutant:?}");
    }
}

#[test]
fn the_logs_have_everything_in_them() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for events in some_logs(60) {
        let lane = lane(true);
        for verdict in run(&lane, &events, &[], false).2 {
            *seen.entry(format!("{verdict:?}")).or_default() += 1;
        }
    }
    for kind in ["Applied", "Duplicate", "Late", "Future", "Malformed", "Expression", "MissingKey"]
    {
        let count: usize =
            seen.iter().filter(|(name, _)| name.contains(kind)).map(|(_, n)| n).sum();
        assert!(count >= 20, "{kind}: {seen:?}");
    }
}
