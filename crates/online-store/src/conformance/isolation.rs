//! Lanes and partitions: apart from each other, listed, removed.

use record::{LaneId, Offset, Partition};

use super::Harness;
use super::helpers::{ME, OTHER, claim, commit, committed, head, keys, put, scan};
use crate::{Commit, OnlineStore, Outcome};

fn at(lane: LaneId, partition: Partition, value: &str) -> Commit {
    let mut one = commit(lane, None, 1);
    one.partition = partition;
    one.states = vec![put("key", value)];
    one.derived = vec![put("key", value)];
    one
}

async fn key(store: &dyn OnlineStore, lane: LaneId, partition: Partition) -> Option<Vec<u8>> {
    store.read(lane, partition, &keys(["key"])).await.expect("a read").values.remove(0)
}

/// The same key in other lanes and partitions is another key; heads and owners as well.
pub async fn lanes_and_partitions_are_apart(harness: &dyn Harness) {
    let store = harness.open().await;
    let lanes = [harness.lane(), harness.lane()];
    let places: Vec<_> =
        lanes.iter().flat_map(|lane| [0, 1, 256].map(|p| (*lane, Partition(p)))).collect();
    for (lane, partition) in &places {
        claim(&*store, *lane, *partition).await;
        committed(&*store, at(*lane, *partition, &format!("{lane} {partition}"))).await;
    }
    let (lane, partition) = places[0];
    store.claim(lane, partition, OTHER).await.expect("a claim");
    let mut moved = at(lane, partition, "moved");
    (moved.owner, moved.expected, moved.head) = (OTHER, Some(Offset(1)), head(2));
    committed(&*store, moved).await;
    for (lane, partition) in &places[1..] {
        let expected = format!("{lane} {partition}").into_bytes();
        assert_eq!(key(&*store, *lane, *partition).await, Some(expected.clone()));
        let (found, states) = scan(&*store, *lane, *partition).await;
        assert_eq!(found, Some(head(1)));
        assert_eq!(states.into_values().collect::<Vec<_>>(), [expected]);
        let stays = store.commit(&at(*lane, *partition, "again")).await.expect("a commit");
        assert_eq!(stays, Outcome::AlreadyCommitted, "the owner is still the same");
    }
}

/// What has a head is listed once, however many partitions; a claim alone is not.
pub async fn lanes_lists_what_has_a_head(harness: &dyn Harness) {
    let store = harness.open().await;
    let (first, second, claimed) = (harness.lane(), harness.lane(), harness.lane());
    claim(&*store, claimed, Partition(0)).await;
    for (lane, partition) in [(first, 0), (first, 3), (second, 2)] {
        claim(&*store, lane, Partition(partition)).await;
        committed(&*store, at(lane, Partition(partition), "v")).await;
    }
    let lanes = store.lanes().await.expect("the lanes");
    let times = |lane| lanes.iter().filter(|found| **found == lane).count();
    assert_eq!((times(first), times(second), times(claimed)), (1, 1, 0), "{lanes:?}");
}

/// Heads, states, derived values and owners of all partitions go; other lanes stay.
pub async fn removal_takes_one_lane_whole(harness: &dyn Harness) {
    let store = harness.open().await;
    let (gone, stays) = (harness.lane(), harness.lane());
    for lane in [gone, stays] {
        for partition in [0, 1] {
            claim(&*store, lane, Partition(partition)).await;
            committed(&*store, at(lane, Partition(partition), "v")).await;
        }
    }
    store.remove(gone).await.expect("a removal");
    store.remove(gone).await.expect("nothing left to remove");
    for partition in [0, 1].map(Partition) {
        assert_eq!(key(&*store, gone, partition).await, None);
        let derived = store.read_derived(gone, partition, &keys(["key"])).await.expect("a read");
        assert_eq!((derived.head, derived.values), (None, vec![None]));
        let (found, states) = scan(&*store, gone, partition).await;
        assert_eq!((found, states.len()), (None, 0));
        let late = store.commit(&at(gone, partition, "late")).await.expect("a commit");
        assert_eq!(late, Outcome::Fenced, "the claim is gone too");
        assert_eq!(key(&*store, stays, partition).await.as_deref(), Some(&b"v"[..]));
    }
    let lanes = store.lanes().await.expect("the lanes");
    assert!(lanes.contains(&stays) && !lanes.contains(&gone), "{lanes:?}");
}

/// A lane that is built again finds nothing of its former self.
pub async fn a_removed_lane_can_come_back(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    let place = Partition(0);
    claim(&*store, lane, place).await;
    let mut many = at(lane, place, "old");
    many.states.extend((0..2_000).map(|i| put(format!("{i}"), "old")));
    committed(&*store, many).await;
    store.remove(lane).await.expect("a removal");
    assert_eq!(store.claim(lane, place, ME).await.expect("a claim"), None);
    let mut new = at(lane, place, "new");
    new.derived.clear();
    committed(&*store, new).await;
    let (found, states) = scan(&*store, lane, place).await;
    assert_eq!(found, Some(head(1)));
    let new = (b"key".to_vec(), b"new".to_vec());
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [new]);
    let derived = store.read_derived(lane, place, &keys(["key"])).await.expect("a read");
    assert_eq!(derived.values, [None]);
}
