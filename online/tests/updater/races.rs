//! Readers that race the commits see states that equal the recomputation at the head beside them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fold::{Head, StateKey};
use online::updater::Updater;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{Offset, Partition};
use runtime::shutdown;

use crate::replay::Replay;
use crate::world::{PARTITIONS, World, block_on, settings};

type Seen = (Offset, StateKey, Option<Vec<u8>>, Head);

#[test]
fn every_state_equals_recomputation_at_its_head() {
    block_on(async {
        let mut world = World::new(3).await;
        let lane = world.lane("clickstream", "visitor");
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped.clone()));
        let reading = tokio::spawn({
            let (store, lane, stopped) = (Arc::clone(&world.store), lane.clone(), stopped.clone());
            async move {
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                let mut seen: BTreeMap<Partition, Vec<Seen>> = BTreeMap::new();
                while !stopped.requested() {
                    let visitor = format!("v{}", rng.random_range(0..25));
                    let partition = record::partition_for_key(visitor.as_bytes(), PARTITIONS);
                    let key = StateKey::entity(&lane, &visitor);
                    let keys = [key.as_bytes().to_vec()];
                    let mut snapshot = store.read(lane.id, partition, &keys).await.unwrap();
                    let Some(head) = snapshot.head else { continue };
                    let fold_head = Head::decode(&head.bytes).unwrap();
                    assert_eq!(fold_head.next, head.next);
                    let state = snapshot.values.remove(0);
                    seen.entry(partition).or_default().push((head.next, key, state, fold_head));
                    tokio::task::yield_now().await;
                }
                seen
            }
        });
        for _ in 0..20 {
            world.shop(100).await;
        }
        wait_for_end(&world, &handle).await;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        let seen = reading.await.unwrap();
        let (mut states, mut heads) = (0, 0);
        for (partition, mut seen) in seen {
            seen.sort_by_key(|(next, ..)| *next);
            let mut replay = Replay::new(world.log.as_ref(), &lane, partition).await;
            for (next, key, state, head) in seen {
                heads += usize::from(replay.advance(next, 50).head().next < next);
                let recomputed = replay.advance(next, 50);
                assert_eq!(&head, recomputed.head());
                assert_eq!(replay.state(&key), state, "{partition} at {next}");
                states += 1;
            }
            heads += 1;
        }
        assert!(states > 200 && heads >= 4, "{states} states at {heads} heads");
    });
}

pub(crate) async fn wait_for_end(world: &World, handle: &online::updater::Handle) {
    let mut positions = Vec::new();
    for lane in handle.lanes() {
        let bounds = world.log.bounds(&lane.source.topic).await.unwrap();
        let each = bounds.iter().zip(0..);
        positions.extend(each.map(|(bounds, p)| (lane.id, Partition(p), bounds.next)));
    }
    assert!(handle.wait_for(&positions, Duration::from_secs(30)).await, "the updater is stuck");
    // What nobody can cover is said, not waited for.
    let beyond = [(positions[0].0, Partition(0), Offset(u64::MAX))];
    assert!(!handle.wait_for(&beyond, Duration::from_millis(5)).await);
}
