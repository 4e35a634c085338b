//! The item table: each version equals the recomputation at the positions and the time that it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fold::{EntityState, StateKey, Value, encode_values, read_time};
use online::item_table::{self, LaneRead, Parts, Version};
use online::updater::{self, Handle, Updater};
use record::{EventTime, Offset};
use runtime::clock::Clock;
use runtime::shutdown;

use crate::events::view;
use crate::races::wait_for_end;
use crate::replay::Replay;
use crate::world::{World, block_on, settings};

fn parts(world: &World, updater: Option<Handle>) -> Parts {
    Parts {
        log: Arc::clone(&world.log),
        store: Arc::clone(&world.store),
        lanes: world.lanes.clone(),
        updater,
        clock: world.clock.clone(),
    }
}

fn fast() -> item_table::Settings {
    item_table::Settings { refresh_ms: 2, ..Default::default() }
}

/// Computes the version's values anew from the log, and compares every byte.
async fn assert_recomputes(world: &World, version: &Version) -> usize {
    let mut compared = 0;
    for (n, lane) in version.lanes().iter().enumerate() {
        let reads: Vec<&LaneRead> = version.reads().iter().filter(|r| r.lane == lane.id).collect();
        let mut replays = Vec::new();
        for read in &reads {
            let mut replay = Replay::new(world.log.as_ref(), lane, read.partition).await;
            let next = read.head.as_ref().map_or(Offset(0), |head| head.next);
            let fold = replay.advance(next, 64);
            if let Some(head) = &read.head {
                assert_eq!(fold.head(), head);
            }
            replays.push(replay);
        }
        let watermarks = || reads.iter().filter_map(|r| r.head.as_ref()).map(|head| head.watermark);
        for (id, ordinal) in version.ids().iter().zip(0..) {
            let mut state = EntityState::empty(lane);
            for replay in &replays {
                if let Some(bytes) = replay.state(&StateKey::entity(lane, id)) {
                    state.merge(&EntityState::decode(lane, &bytes).unwrap());
                }
            }
            let at = read_time(version.as_of(), &state, watermarks());
            let expected = state.values(lane, at, None);
            let found = version.values(n, ordinal);
            assert_eq!(encode_values(found), encode_values(&expected), "{id} {found:?}");
            assert_eq!(version.ordinal(id), Some(ordinal));
            compared += found.len();
        }
    }
    compared
}

#[test]
fn every_version_recomputes_while_the_table_advances() {
    block_on(async {
        let mut world = World::new(51).await;
        world.shop(200).await;
        world.drain(settings()).await;
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let (table, refresher) =
            item_table::open(fast(), parts(&world, Some(handle.clone()))).await.unwrap();
        assert!(table.current().len() >= 15, "the first version is a scan");
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped.clone()));
        let refreshing = tokio::spawn(refresher.run(stopped));
        let mut versions: BTreeMap<u64, Arc<Version>> = BTreeMap::new();
        for round in 0..15 {
            world.shop(40).await;
            if round % 5 == 4 {
                // A day goes by without an event: windows and decays move by time alone.
                world.clock.advance(Duration::from_secs(86_400));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            versions.insert(table.current().number(), table.current());
        }
        wait_for_end(&world, &handle).await;
        let ends: BTreeMap<_, _> =
            handle.progress().into_iter().map(|(l, p, progress)| ((l, p), progress.head)).collect();
        let is_last =
            |v: &Version| v.reads().iter().all(|r| ends[&(r.lane, r.partition)] == r.head);
        let last = tokio::time::timeout(Duration::from_secs(10), table.wait_for(is_last)).await;
        let last = last.unwrap().unwrap();
        versions.insert(last.number(), last);
        stop.shut_down();
        updating.await.unwrap().unwrap();
        refreshing.await.unwrap().unwrap();
        assert!(versions.len() >= 8, "{} versions", versions.len());
        for version in versions.values() {
            assert!(assert_recomputes(&world, version).await > 100);
            assert_eq!(version.as_of().0 % 1_000_000, 0, "a whole second");
        }
        let counters = table.counters();
        assert!(counters.commits > 0 && counters.failures == 0, "{counters:?}");
        assert_eq!(counters.lagged, 0);
    });
}

#[test]
fn a_table_that_lagged_scans_again_and_is_right() {
    block_on(async {
        let mut world = World::new(52).await;
        let small = updater::Settings { published_commits: 1, batch_records: 3, ..settings() };
        let (updater, handle) = Updater::open(small, world.parts()).await.unwrap();
        let (table, refresher) =
            item_table::open(fast(), parts(&world, Some(handle.clone()))).await.unwrap();
        assert!(table.current().is_empty());
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped.clone()));
        world.shop(300).await;
        // Nobody followed yet: what the channel of one commit could not hold is missed.
        wait_for_end(&world, &handle).await;
        let refreshing = tokio::spawn(refresher.run(stopped));
        let lagged = table.clone();
        let seen = table.wait_for(|v| lagged.counters().lagged > 0 && v.len() >= 15);
        let version = tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap().unwrap();
        assert_recomputes(&world, &version).await;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        refreshing.await.unwrap().unwrap();
    });
}

#[test]
fn a_table_opened_before_the_catch_up_scans_at_most_once_more() {
    block_on(async {
        let mut world = World::new(56).await;
        world.shop(600).await;
        // A channel of one commit, and many commits: it is bound to lag.
        let small = updater::Settings { published_commits: 1, batch_records: 3, ..settings() };
        let (updater, handle) = Updater::open(small, world.parts()).await.unwrap();
        let (table, refresher) =
            item_table::open(fast(), parts(&world, Some(handle.clone()))).await.unwrap();
        let opened = table.counters();
        assert!(table.current().is_empty());
        let (stop, stopped) = shutdown::channel();
        let refreshing = tokio::spawn(refresher.run(stopped.clone()));
        let updating = tokio::spawn(updater.run(stopped));
        tokio::time::timeout(Duration::from_secs(60), handle.caught_up()).await.unwrap();
        let ends: BTreeMap<_, _> =
            handle.progress().into_iter().map(|(l, p, progress)| ((l, p), progress.head)).collect();
        let is_last =
            |v: &Version| v.reads().iter().all(|r| ends[&(r.lane, r.partition)] == r.head);
        let last = tokio::time::timeout(Duration::from_secs(60), table.wait_for(is_last)).await;
        let last = last.unwrap().unwrap();
        assert!(assert_recomputes(&world, &last).await > 100);
        let counters = table.counters();
        assert!(counters.scans <= 2 * opened.scans, "{opened:?} then {counters:?}");
        stop.shut_down();
        updating.await.unwrap().unwrap();
        refreshing.await.unwrap().unwrap();
    });
}

#[test]
fn the_second_of_the_clock_makes_a_version_by_itself() {
    block_on(async {
        let world = World::new(57).await;
        // Not before the test is over.
        let seldom = item_table::Settings { refresh_ms: 3_600_000, ..Default::default() };
        let parts = Parts { clock: Clock::system(), ..parts(&world, None) };
        let (table, refresher) = item_table::open(seldom, parts).await.unwrap();
        let opened = table.current().as_of();
        let (stop, stopped) = shutdown::channel();
        let refreshing = tokio::spawn(refresher.run(stopped));
        let seen = table.wait_for(|version| version.as_of() >= opened.plus(2_000_000));
        let version = tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap().unwrap();
        assert_eq!(version.as_of().0 % 1_000_000, 0, "a whole second");
        stop.shut_down();
        refreshing.await.unwrap().unwrap();
    });
}

#[test]
fn without_an_updater_the_heads_are_polled() {
    block_on(async {
        let mut world = World::new(53).await;
        let (table, refresher) = item_table::open(fast(), parts(&world, None)).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let refreshing = tokio::spawn(refresher.run(stopped));
        world.shop(200).await;
        world.drain(settings()).await;
        let seen = table.wait_for(|v| v.reads().iter().all(|r| r.head.is_some()));
        let version = tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap().unwrap();
        assert!(assert_recomputes(&world, &version).await > 100);
        stop.shut_down();
        refreshing.await.unwrap().unwrap();
    });
}

#[test]
fn a_pinned_table_stands_at_its_cut_and_too_many_items_are_refused() {
    block_on(async {
        let mut world = World::new(54).await;
        world.shop(200).await;
        world.drain(settings()).await;
        let cut = EventTime(world.clock.now().0 + 123);
        let version = item_table::load(fast(), parts(&world, None), cut).await.unwrap();
        assert_eq!(version.as_of(), cut);
        assert!(assert_recomputes(&world, &version).await > 100);
        let items = version.len();
        let pinned = item_table::ItemTable::pinned(version);
        world.shop(100).await;
        world.drain(settings()).await;
        assert_eq!(pinned.current().as_of(), cut);
        assert!(!pinned.is_stale(&pinned.current(), cut.plus(i64::MAX)), "it stands on purpose");
        assert!(pinned.wait_for(|v| v.as_of() > cut).await.is_none());

        let small = item_table::Settings { items_max: items - 1, ..fast() };
        let error = item_table::open(small, parts(&world, None)).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("item_table.items_max"), "{error}");
    });
}

#[test]
fn a_table_that_grew_too_large_keeps_its_last_version_and_counts_it() {
    block_on(async {
        let world = World::new(55).await;
        world.append("clickstream", vec![view("a", "ann", "i1", world.clock.now())]).await;
        world.drain(settings()).await;
        let small = item_table::Settings { items_max: 1, ..fast() };
        let (table, refresher) = item_table::open(small, parts(&world, None)).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let refreshing = tokio::spawn(refresher.run(stopped));
        assert_eq!((table.current().len(), table.counters().failures), (1, 0));
        world.append("clickstream", vec![view("b", "ann", "i2", world.clock.now())]).await;
        world.drain(settings()).await;
        let counted = async {
            while table.counters().failures == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap();
        assert_eq!(table.current().len(), 1, "the last good version stays");
        stop.shut_down();
        refreshing.await.unwrap().unwrap();
    });
}

#[test]
fn rows_given_by_hand_are_found_by_item() {
    let lanes = vec![crate::world::lanes()[0].clone()];
    let width = lanes[0].features.len();
    let row = |id: &str, n: i64| (Arc::from(id), vec![vec![Value::Int(n); width]]);
    let version = Version::from_rows(lanes, [row("b", 2), row("a", 1)], Vec::new(), EventTime(0));
    assert_eq!(version.ids().iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(version.values(0, version.ordinal("b").unwrap())[0], Value::Int(2));
    assert_eq!(version.ordinal("c"), None);
}
