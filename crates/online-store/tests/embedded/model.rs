//! Random operations, reopening included, against a store made of maps.

use std::collections::{BTreeMap, BTreeSet};

use embedded::SyncMode;
use online_store::{Commit, Embedded, OnlineStore, Outcome, OwnerToken, StoredHead};
use proptest::prelude::*;
use record::{LaneId, Offset, Partition};

use crate::harness::Directory;

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type Values = BTreeMap<Vec<u8>, Vec<u8>>;
type Place = (LaneId, Partition);

#[derive(Debug, Clone)]
enum Operation {
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
        lane: LaneId,
    },
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let lane = || (0u8..2).prop_map(|lane| LaneId([lane; 8]));
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_per_partition(operations in prop::collection::vec(operation(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(operations));
    }
}

async fn check(operations: Vec<Operation>) {
    let directory = Directory::new(SyncMode::Always, false);
    let mut store = directory.open();
    let mut model = BTreeMap::<Place, Entry>::new();
    for operation in operations {
        if matches!(operation, Operation::Reopen) {
            drop(store);
            store = directory.open();
        } else {
            step(&store, &mut model, operation).await;
        }
    }
}

async fn step(store: &Embedded, model: &mut BTreeMap<Place, Entry>, operation: Operation) {
    match operation {
        Operation::Claim { place, owner } => {
            let entry = model.entry(place).or_default();
            entry.owner = Some(owner);
            assert_eq!(store.claim(place.0, place.1, owner).await.unwrap(), entry.head);
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
                lane: place.0,
                partition: place.1,
                owner,
                expected: expected.map(Offset),
                head: StoredHead { next, bytes: next.0.to_string().into_bytes() },
                states,
                derived,
            };
            assert_eq!(store.commit(commit.clone()).await.unwrap(), entry.commit(commit));
        }
        Operation::Read { place, keys } => {
            let entry = model.get(&place).cloned().unwrap_or_default();
            let found = store.read(place.0, place.1, &keys).await.unwrap();
            let values = |of: &Values| keys.iter().map(|key| of.get(key).cloned()).collect();
            assert_eq!((found.head, found.values), (entry.head.clone(), values(&entry.states)));
            let found = store.read_derived(place.0, place.1, &keys).await.unwrap();
            assert_eq!((found.head, found.values), (entry.head, values(&entry.derived)));
        }
        Operation::Scan { place } => {
            let entry = model.get(&place).cloned().unwrap_or_default();
            let mut states = Values::new();
            let mut visit = |key: &[u8], value: &[u8]| {
                assert_eq!(states.insert(key.to_vec(), value.to_vec()), None);
            };
            let head = store.scan(place.0, place.1, &mut visit).await.unwrap();
            assert_eq!((head, states), (entry.head, entry.states));
        }
        Operation::Lanes => {
            let found: BTreeSet<_> = store.lanes().await.unwrap().into_iter().collect();
            let with_head = model.iter().filter(|(_, entry)| entry.head.is_some());
            assert_eq!(found, with_head.map(|(place, _)| place.0).collect());
        }
        Operation::Remove { lane } => {
            store.remove(lane).await.unwrap();
            model.retain(|place, _| place.0 != lane);
        }
        Operation::Reopen => unreachable!("handled by the caller"),
    }
}
