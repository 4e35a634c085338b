//! Digests and sweeps: a digest does not see whether keys that a sweep may take were swept, and sees everything else.

use std::time::Duration;

use fold::{EntityState, Head};
use online::updater;
use online_store::{Commit, Outcome, OwnerToken};
use record::EventTime;

use crate::world::{self, World, block_on, settings};

/// Longer than any lane of clicks remembers its keys.
const SILENCE: Duration = Duration::from_secs(120 * 86_400);

type Key = (Vec<u8>, EventTime);

/// Keys that a sweep may take and keys that it must leave, with their greatest times.
async fn keys(world: &World, lane: &definitions::Lane, at: record::Partition) -> [Vec<Key>; 2] {
    let mut states: Vec<Key> = Vec::new();
    let mut visit = |key: &[u8], state: &[u8]| {
        states.push((key.to_vec(), EntityState::greatest_of(state).unwrap()));
    };
    let head = world.store.scan(lane.id, at, &mut visit).await.unwrap();
    let watermark =
        head.map_or(EventTime::MIN, |head| Head::decode(&head.bytes).unwrap().watermark);
    let (gone, left) = states.into_iter().partition(|(_, at)| lane.may_sweep(*at, watermark));
    [gone, left]
}

async fn remove(world: &World, lane: &definitions::Lane, at: record::Partition, keys: &[Key]) {
    let owner = OwnerToken([9; 16]);
    let head = world.store.claim(lane.id, at, owner).await.unwrap().unwrap();
    let commit = Commit {
        lane: lane.id,
        partition: at,
        owner,
        expected: Some(head.next),
        head,
        states: keys.iter().map(|(key, _)| (key.clone(), None)).collect(),
        derived: Vec::new(),
    };
    assert_eq!(world.store.commit(commit).await.unwrap(), Outcome::Committed);
}

#[test]
fn a_sweep_changes_no_digest_and_a_lost_key_does() {
    block_on(async {
        let mut world = World::new(21).await;
        world.shop(300).await;
        world.clock.advance(SILENCE);
        world.shop(60).await;
        world.drain(settings()).await;
        let (mut swept, mut lost) = (0, 0);
        for lane in &world.lanes {
            for partition in world::partitions() {
                let digest = || updater::digest(world.store.as_ref(), lane, partition);
                let before = digest().await.unwrap();
                let [gone, left] = keys(&world, lane, partition).await;
                if !gone.is_empty() {
                    swept += gone.len();
                    remove(&world, lane, partition, &gone).await;
                    assert_eq!(digest().await.unwrap(), before, "{} in {partition}", lane.entity);
                    assert_eq!(keys(&world, lane, partition).await, [Vec::new(), left.clone()]);
                }
                if let Some(one) = left.first() {
                    lost += 1;
                    remove(&world, lane, partition, std::slice::from_ref(one)).await;
                    assert_ne!(digest().await.unwrap(), before, "{} in {partition}", lane.entity);
                }
            }
        }
        assert!(swept > 5 && lost > 5, "{swept} keys swept, {lost} lost");
    });
}
