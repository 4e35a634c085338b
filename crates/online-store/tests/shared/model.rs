//! Random operations, reopening included, against a store made of maps.

use std::collections::{BTreeMap, BTreeSet};

use online_store::conformance::Harness;
use online_store::{Commit, OnlineStore, Outcome, OwnerToken, StoredHead};
use proptest::prelude::*;
use record::{LaneId, Offset, Partition};

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type Values = BTreeMap<Vec<u8>, Vec<u8>>;
/// A lane, by its number, and a partition.
type Place = (usize, Partition);

/// What a case does; its lanes are numbers until it runs.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Claim {
        place: Place,
        owner: OwnerToken,
    },
    /// `ahead` tells the position expected, relative to the one stored.
    Commit {
        place: Place,
        owner: OwnerToken,
        ahead: i64,
        moves: u64,
        states: Changes,
        derived: Changes,
    },
    Read {
        place: Place,
        keys: Vec<Vec<u8>>,
    },
    Scan {
        place: Place,
    },
    Lanes,
    Remove {
        lane: usize,
    },
    Reopen,
}

const LANES: usize = 2;

/// The operations of one case.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 1..60)
}

fn operation() -> impl Strategy<Value = Operation> {
    let lane = || 0..LANES;
    let place = move || (lane(), (0u32..2).prop_map(Partition));
    // Mostly one owner, so that most commits pass.
    let owner =
        || prop_oneof![9 => Just(1u8), 1 => Just(2u8)].prop_map(|owner| OwnerToken([owner; 16]));
    let key = || prop::collection::vec(0u8..3, 0..3);
    let value = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    let changes = move || prop::collection::vec((key(), value()), 0..12);
    let ahead = prop_oneof![12 => Just(0i64), 1 => -3i64..4];
    prop_oneof![
        4 => (place(), owner()).prop_map(|(place, owner)| Operation::Claim { place, owner }),
        12 => (place(), owner(), ahead, 0u64..3, changes(), changes()).prop_map(
            |(place, owner, ahead, moves, states, derived)| Operation::Commit {
                place, owner, ahead, moves, states, derived,
            }
        ),
        6 => (place(), prop::collection::vec(key(), 0..8))
            .prop_map(|(place, keys)| Operation::Read { place, keys }),
        3 => place().prop_map(|place| Operation::Scan { place }),
        1 => Just(Operation::Lanes),
        1 => lane().prop_map(|lane| Operation::Remove { lane }),
        2 => Just(Operation::Reopen),
    ]
}

#[derive(Debug, Clone, Default)]
struct Entry {
    owner: Option<OwnerToken>,
    head: Option<StoredHead>,
    states: Values,
    derived: Values,
}

impl Entry {
    fn commit(&mut self, commit: Commit) -> Outcome {
        if self.owner != Some(commit.owner) {
            return Outcome::Fenced;
        }
        let stored = self.head.as_ref().map(|head| head.next);
        if stored == commit.expected {
            apply(&mut self.states, commit.states);
            apply(&mut self.derived, commit.derived);
            self.head = Some(commit.head);
            return Outcome::Committed;
        }
        match stored == Some(commit.head.next) {
            true => Outcome::AlreadyCommitted,
            false => Outcome::Moved { stored },
        }
    }
}

fn apply(values: &mut Values, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
}

/// Runs a case on a store that others may use too, in lanes of its own.
pub(crate) fn check(harness: &dyn Harness, operations: Vec<Operation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let lanes: [LaneId; LANES] = std::array::from_fn(|_| harness.lane());
        let mut store = harness.open().await;
        let mut model = BTreeMap::<Place, Entry>::new();
        for operation in operations {
            if matches!(operation, Operation::Reopen) {
                drop(store);
                store = harness.open().await;
            } else {
                step(&*store, &lanes, &mut model, operation).await;
            }
        }
    });
}

async fn step(
    store: &dyn OnlineStore,
    lanes: &[LaneId; LANES],
    model: &mut BTreeMap<Place, Entry>,
    operation: Operation,
) {
    match operation {
        Operation::Claim { place, owner } => {
            let entry = model.entry(place).or_default();
            entry.owner = Some(owner);
            assert_eq!(store.claim(lanes[place.0], place.1, owner).await.unwrap(), entry.head);
        }
        Operation::Commit { place, owner, ahead, moves, states, derived } => {
            let entry = model.entry(place).or_default();
            let stored = entry.head.as_ref().map(|head| head.next.0);
            let expected = match (stored, ahead) {
                (None, 0) => None,
                (stored, ahead) => Some(stored.unwrap_or(0).saturating_add_signed(ahead)),
            };
            let next = Offset(expected.unwrap_or(0) + moves);
            let commit = Commit {
                lane: lanes[place.0],
                partition: place.1,
                owner,
                expected: expected.map(Offset),
                head: StoredHead { next, bytes: next.0.to_string().into_bytes() },
                states,
                derived,
            };
            assert_eq!(store.commit(&commit).await.unwrap(), entry.commit(commit));
        }
        Operation::Read { place, keys } => {
            let entry = model.get(&place).cloned().unwrap_or_default();
            let found = store.read(lanes[place.0], place.1, &keys).await.unwrap();
            let values = |of: &Values| keys.iter().map(|key| of.get(key).cloned()).collect();
            assert_eq!((found.head, found.values), (entry.head.clone(), values(&entry.states)));
            let found = store.read_derived(lanes[place.0], place.1, &keys).await.unwrap();
            assert_eq!((found.head, found.values), (entry.head, values(&entry.derived)));
        }
        Operation::Scan { place } => {
            let entry = model.get(&place).cloned().unwrap_or_default();
            let mut states = Values::new();
            let mut visit = |key: &[u8], value: &[u8]| {
                assert_eq!(states.insert(key.to_vec(), value.to_vec()), None);
            };
            let head = store.scan(lanes[place.0], place.1, &mut visit).await.unwrap();
            assert_eq!((head, states), (entry.head, entry.states));
        }
        Operation::Lanes => {
            let mut found: BTreeSet<_> = store.lanes().await.unwrap().into_iter().collect();
            found.retain(|lane| lanes.contains(lane));
            let with_head = model.iter().filter(|(_, entry)| entry.head.is_some());
            assert_eq!(found, with_head.map(|(place, _)| lanes[place.0]).collect());
        }
        Operation::Remove { lane } => {
            store.remove(lanes[lane]).await.unwrap();
            model.retain(|place, _| place.0 != lane);
        }
        Operation::Reopen => unreachable!("handled by the caller"),
    }
}
