//! Micro-batches of a partition begin some time apart, unless they are full.

use std::time::Duration;

use online::updater::{Counters, Settings, Updater};
use runtime::clock::Clock;
use runtime::shutdown;

use crate::events::view;
use crate::races::wait_for_end;
use crate::world::{World, block_on, settings};

/// Events of one visitor, appended one by one, to an updater that follows them.
fn followed(settings: Settings, events: u64) -> (Counters, Duration) {
    block_on(async {
        let world = World::new(81).await;
        let (updater, handle) = Updater::open(settings, world.parts()).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.alone().run(stopped));
        handle.caught_up().await;
        let clock = Clock::system();
        let start = clock.monotonic();
        for n in 0..events {
            let record = view(&format!("e{n}"), "ann", "i1", world.clock.now());
            world.append("clickstream", vec![record]).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        wait_for_end(&world, &handle).await;
        let took = clock.monotonic() - start;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        assert_eq!(handle.counters().records, events);
        (handle.counters(), took)
    })
}

#[test]
fn what_comes_one_by_one_shares_commits() {
    let pace_ms = 100;
    let (counters, took) = followed(Settings { pace_ms, ..settings() }, 60);
    // They are all in one partition.
    let batches_max = took.as_millis() / u128::from(pace_ms) + 2;
    assert!(u128::from(counters.batches) <= batches_max, "{counters:?} in {took:?}");
}

#[test]
fn full_batches_do_not_wait() {
    let slow = Settings { pace_ms: 10_000, batch_records: 1, ..settings() };
    let (counters, took) = followed(slow, 20);
    assert_eq!(counters.batches, 20);
    assert!(took < Duration::from_secs(100), "{took:?}");
}
