//! Digests while commits flow: each is of the position that stands beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use online::updater::{self, LaneStatus, Updater};
use online_store::OnlineStore;
use record::{Offset, Partition};
use runtime::shutdown;

use crate::faulty::{Faults, Faulty};
use crate::races::wait_for_end;
use crate::replay::Replay;
use crate::world::{World, block_on, scratch_store, settings};

async fn status(world: &World, store: &dyn OnlineStore) -> Result<Vec<LaneStatus>, updater::Error> {
    updater::status(world.log.as_ref(), store, &world.lanes, true).await
}

#[test]
fn a_digest_belongs_to_the_position_beside_it() {
    block_on(async {
        let mut world = World::new(8).await;
        world.shop(3000).await;
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped));
        let mut seen: BTreeMap<(String, u32), BTreeMap<u64, String>> = BTreeMap::new();
        while !handle.is_caught_up() {
            for row in status(&world, world.store.as_ref()).await.unwrap() {
                let positions = seen.entry((row.lane, row.partition)).or_default();
                positions.insert(row.position, row.digest.unwrap());
            }
        }
        wait_for_end(&world, &handle).await;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        let (_directory, scratch) = scratch_store();
        let mut compared = 0;
        for ((lane, partition), positions) in seen {
            let lane = world.lanes.iter().find(|known| known.id.to_string() == lane).unwrap();
            let partition = Partition(partition);
            let mut replay = Replay::new(world.log.as_ref(), lane, partition).await;
            let mut before = None;
            for (position, digest) in positions.into_iter().filter(|(next, _)| *next > 0) {
                replay.advance(Offset(position), 50);
                replay.commit(scratch.as_ref(), before).await;
                let replayed = updater::digest(scratch.as_ref(), lane, partition).await.unwrap();
                assert_eq!(digest, replayed.to_string(), "{partition} at {position}");
                before = Some(Offset(position));
                compared += 1;
            }
        }
        assert!(compared > world.lanes.len() * 8, "only {compared} digests were compared");
    });
}

#[test]
fn a_head_that_moves_is_scanned_again_and_not_for_ever() {
    block_on(async {
        let mut world = World::new(9).await;
        world.shop(200).await;
        world.drain(settings()).await;
        let still = status(&world, world.store.as_ref()).await.unwrap();
        let spoil = |scans_spoilt| {
            let faults = Faults { scans_spoilt, ..Faults::default() };
            Faulty::new(Arc::clone(&world.store), 1, faults)
        };
        let moved = status(&world, spoil(3).as_ref()).await.unwrap();
        assert_eq!(still, moved);
        let error = status(&world, spoil(u32::MAX).as_ref()).await.unwrap_err();
        assert!(matches!(error, updater::Error::Moving { scans: 20, .. }), "{error}");
    });
}
