//! Changed definitions, other logs, lost records, other owners.

use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use definitions::parse::parse;
use online::updater::{self, Error, Updater};
use online_store::{OnlineStore, OwnerToken};
use record::Partition;
use runtime::shutdown::{self, Shutdown};

use crate::races::wait_for_end;
use crate::replay::{digests, fresh_digests};
use crate::world::{World, block_on, definition_files, settings};

/// The demo's lanes with one feature's window widened.
fn changed_lanes() -> Vec<Arc<Lane>> {
    let mut files = definition_files();
    let group = files.iter_mut().find(|f| f.path.ends_with("user_activity.toml")).unwrap();
    group.text = group.text.replace("window = \"30m\"", "window = \"45m\"");
    parse(&files).unwrap().lanes()
}

#[test]
fn a_changed_definition_is_a_new_lane_built_beside_the_old_one() {
    block_on(async {
        let mut world = World::new(21).await;
        world.shop(600).await;
        world.drain(settings()).await;
        let before = world.lanes.clone();
        let old = world.lane("clickstream", "visitor");
        let old_digests = digests(world.store.as_ref(), std::slice::from_ref(&old)).await;
        world.lanes = changed_lanes();
        let new = world.lane("clickstream", "visitor");
        assert_ne!(old.id, new.id);
        assert_eq!(
            world.lane("clickstream", "item").id,
            before
                .iter()
                .find(|l| l.source.name == "clickstream" && l.entity == "item")
                .unwrap()
                .id
        );
        world.shop(100).await;

        // A gap of 10 records, so that the new lane catches up in a task of its own.
        let settings = updater::Settings { bootstrap_gap_records: 10, ..settings() };
        let (updater, handle) = Updater::open(settings, world.parts()).await.unwrap();
        assert!(!handle.is_caught_up());
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped));
        tokio::time::timeout(Duration::from_secs(30), handle.caught_up()).await.unwrap();
        for (lane, partition, progress) in handle.progress() {
            assert!(progress.next() >= progress.end, "{lane} {partition} {progress:?}");
            if lane == new.id {
                assert_eq!(progress.start.0, 0, "a new lane starts at the log's beginning");
            }
        }
        // It goes on with the others.
        world.shop(100).await;
        wait_for_end(&world, &handle).await;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 99).await
        );
        // The old one stays as it was, until somebody removes it.
        assert_eq!(digests(world.store.as_ref(), std::slice::from_ref(&old)).await, old_digests);
        world.store.remove(old.id).await.unwrap();
        assert_eq!(world.store.lanes().await.unwrap().len(), world.lanes.len());
    });
}

#[test]
fn another_log_stops_with_the_remedy() {
    block_on(async {
        let mut world = World::new(22).await;
        world.shop(50).await;
        world.drain(settings()).await;
        let mut other = World::new(23).await;
        other.shop(50).await;
        let parts = updater::Parts { store: Arc::clone(&world.store), ..other.parts() };
        let (updater, _) = Updater::open(settings(), parts).await.unwrap();
        let error = updater.drain(Shutdown::never()).await.unwrap_err();
        let Error::OtherLog { lane, .. } = error else { panic!("{error}") };
        let remedy = format!("`twofold lanes remove {lane}`");
        assert!(error.to_string().contains(&remedy), "{error}");
    });
}

#[test]
fn a_store_ahead_of_its_log_stops_with_the_remedy() {
    block_on(async {
        // The same seed gives the same log id, as a log restored from an older copy has.
        let (mut long, mut short) = (World::new(24).await, World::new(24).await);
        long.shop(300).await;
        short.shop(20).await;
        long.drain(settings()).await;
        let parts = updater::Parts { store: Arc::clone(&long.store), ..short.parts() };
        let (updater, _) = Updater::open(settings(), parts).await.unwrap();
        let error = updater.drain(Shutdown::never()).await.unwrap_err();
        assert!(matches!(error, Error::StoreAhead { .. }), "{error}");
        assert!(error.to_string().contains("restore"), "{error}");
    });
}

#[test]
fn a_second_owner_fences_the_first() {
    block_on(async {
        let mut world = World::new(25).await;
        world.shop(50).await;
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        handle.caught_up().await;
        let lane = world.lane("clickstream", "visitor");
        for partition in crate::world::partitions() {
            world.store.claim(lane.id, partition, OwnerToken([1; 16])).await.unwrap();
        }
        let before = digests(world.store.as_ref(), std::slice::from_ref(&lane)).await;
        world.shop(200).await;
        let error = updating.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{error}");
        assert_eq!(digests(world.store.as_ref(), &[lane]).await, before, "nothing was written");
    });
}

#[test]
fn a_missing_topic_is_named() {
    block_on(async {
        let mut world = World::new(26).await;
        let mut lane = world.lane("catalog", "item").as_ref().clone();
        let mut source = lane.source.as_ref().clone();
        source.topic = "nowhere".to_owned();
        lane.source = Arc::new(source);
        world.lanes = vec![Arc::new(lane)];
        let error = Updater::open(settings(), world.parts()).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    });
}

#[test]
fn a_store_that_stays_away_is_given_up_and_nothing_is_lost() {
    use crate::faulty::{Faults, Faulty};
    block_on(async {
        let mut world = World::new(27).await;
        world.shop(100).await;
        let faults = Faults { unavailable: 100, ..Faults::default() };
        let store: Arc<dyn OnlineStore> = Faulty::new(Arc::clone(&world.store), 1, faults);
        let settings = updater::Settings { retry_limit_ms: 30, ..settings() };
        let parts = updater::Parts { store, ..world.parts() };
        let (updater, handle) = Updater::open(settings.clone(), parts).await.unwrap();
        let error = updater.drain(Shutdown::never()).await.unwrap_err();
        assert!(matches!(error, Error::GivenUp { limit_ms: 30, .. }), "{error}");
        assert!(handle.counters().retries >= 2, "each partition tries for itself");
        world.drain(settings).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 9).await
        );
    });
}

#[test]
fn progress_of_an_unknown_lane_is_never_covered() {
    block_on(async {
        let world = World::new(28).await;
        let handle = world.drain(settings()).await;
        let unknown = [(record::LaneId([9; 8]), Partition(0), record::Offset(0))];
        assert!(!handle.wait_for(&unknown, Duration::from_secs(5)).await);
        assert!(handle.is_caught_up(), "an empty log is covered at once");
    });
}
