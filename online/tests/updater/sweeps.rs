//! Sweeps: an updater sweeps, and nobody can tell. Nor does a digest see whether keys that a sweep may take were swept,
//! and sees everything else.

use std::sync::Arc;
use std::time::Duration;

use definitions::Operation;
use fold::{EntityState, Head, StateKey, encode_values, read_time};
use online::updater;
use online_store::{Commit, Outcome, OwnerToken};
use record::{EventTime, Offset};

use crate::events::view;
use crate::replay::{Replay, digests, fresh_digests};
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
    assert_eq!(world.store.commit(&commit).await.unwrap(), Outcome::Committed);
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

/// Rounds of a shop between long silences.
const ROUNDS: usize = 6;
/// Visitors of a round who come once, or again after a silence.
const VISITORS: usize = 30;

/// Every state of visitors, as an updater that sweeps has left it, beside a fold that has forgotten nothing:
/// how many are gone, and how many are there.
async fn beside_a_fold_that_forgets_nothing(
    world: &World,
    lane: &Arc<definitions::Lane>,
) -> (usize, usize) {
    let (mut gone, mut there) = (0, 0);
    for at in world::partitions() {
        let mut whole = Replay::new(world.log.as_ref(), lane, at).await;
        let end = whole.end();
        let watermark = whole.advance(end, 500).head().watermark;
        let names = (0..ROUNDS).flat_map(|round| (0..VISITORS).map(move |n| name(round, n)));
        let keys: Vec<StateKey> = names.map(|name| StateKey::stream(&name)).collect();
        let bytes: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let stored = world.store.read(lane.id, at, &bytes).await.unwrap();
        assert_eq!(stored.head.map_or(Offset(0), |head| head.next), end);
        for (key, stored) in keys.iter().zip(stored.values) {
            let Some(kept) = whole.state(key) else {
                assert_eq!(stored, None, "{key:?} was never seen in {at}");
                continue;
            };
            if let Some(stored) = stored {
                assert_eq!(stored, kept, "{key:?} in {at}");
                there += 1;
                continue;
            }
            gone += 1;
            let greatest = EntityState::greatest_of(&kept).unwrap();
            assert!(lane.may_sweep(greatest, watermark), "{key:?} in {at} was swept too early");
            if key.entity_key(lane).is_some() {
                let kept = EntityState::decode(lane, &kept).unwrap();
                for ahead_us in [0, 1, 3_600_000_000, 100 * 86_400_000_000] {
                    let read = |state: &EntityState| {
                        let at = read_time(watermark.plus(ahead_us), state, [watermark]);
                        encode_values(&state.values(lane, at, None))
                    };
                    assert_eq!(read(&kept), read(&EntityState::empty(lane)), "{key:?} in {at}");
                }
            }
        }
    }
    (gone, there)
}

/// Some of a round's visitors have been there in the round before, some two rounds before.
fn name(round: usize, n: usize) -> String {
    match n % 5 {
        0 => format!("again-{}", n / 5),
        1 => format!("every-other-{}-{}", round % 2, n / 5),
        _ => format!("once-{round}-{n}"),
    }
}

#[test]
fn an_updater_sweeps_and_nobody_can_tell() {
    block_on(async {
        for (seed, memory_bytes) in [(22, 1), (23, 64 << 20)] {
            let world = World::new(seed).await;
            let settings =
                updater::Settings { sweep_keys: 10, memory_bytes, batch_records: 4, ..settings() };
            let (mut swept, mut vectors) = (0, 0);
            for round in 0..ROUNDS {
                // Twice, so that there are commits after those that bring the new time.
                for visit in 0..2 {
                    let now = world.clock.now();
                    let views = (0..VISITORS).map(|n| {
                        view(&format!("{round}-{visit}-{n}"), &name(round, n), "boots", now)
                    });
                    world.append("clickstream", views.collect()).await;
                    world.clock.advance(Duration::from_secs(1200));
                }
                let (updater, handle) =
                    updater::Updater::open(settings.clone(), world.parts()).await.unwrap();
                handle.set_embeddings(vec![Arc::new(Vectors)]);
                updater.drain(runtime::shutdown::Shutdown::never()).await.unwrap();
                swept += handle.counters().states_swept;
                vectors += handle.counters().vectors_written;
                for lane in world.lanes.iter().filter(|lane| lane.source.name == "clickstream") {
                    beside_a_fold_that_forgets_nothing(&world, lane).await;
                }
                world.clock.advance(SILENCE);
            }
            let lane = world.lane("clickstream", "visitor");
            let (gone, there) = beside_a_fold_that_forgets_nothing(&world, &lane).await;
            assert!(gone >= VISITORS && there >= VISITORS, "{gone} are gone, {there} are there");
            assert!(swept as usize > gone, "some came back: {swept} were swept, {gone} are gone");
            assert!(vectors > 0, "there was something to remove with them");
            assert_no_vector_is_left_behind(&world, &lane).await;
            let stored = digests(world.store.as_ref(), &world.lanes).await;
            assert_eq!(stored, fresh_digests(&world, 500).await);
        }
    });
}

/// An embedding that knows every item.
struct Vectors;

impl fold::Embedding for Vectors {
    fn digest(&self) -> [u8; 32] {
        [1; 32]
    }

    fn dimension(&self) -> usize {
        2
    }

    fn vector(&self, _: &str) -> Option<&[f32]> {
        Some(&[1.0, 0.5])
    }
}

/// Who has no state has no vector either.
async fn assert_no_vector_is_left_behind(world: &World, lane: &definitions::Lane) {
    let interest = |operation: &Operation| matches!(operation, Operation::InterestVector { .. });
    let feature = lane.features.iter().position(|feature| interest(&feature.operation)).unwrap();
    for at in world::partitions() {
        for round in 0..ROUNDS {
            for n in 0..VISITORS {
                let key = StateKey::stream(&name(round, n));
                let vector = updater::vector_key(&key, feature, &[1; 32]);
                let state = [key.as_bytes().to_vec()];
                let state = world.store.read(lane.id, at, &state).await.unwrap();
                let vector = world.store.read_derived(lane.id, at, &[vector]).await.unwrap();
                assert_eq!(state.values[0].is_some(), vector.values[0].is_some(), "{key:?}");
            }
        }
    }
}
