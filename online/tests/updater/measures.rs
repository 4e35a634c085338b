//! What is measured of the lanes equals what the ledgers and the topics say.

use std::collections::BTreeMap;
use std::time::Duration;

use online::updater::{Counters, Updater, status};
use runtime::shutdown::Shutdown;

use crate::events::view;
use crate::faulty::{Faults, Faulty};
use crate::membership::PATIENCE;
use crate::side_topics::read_all;
use crate::world::{World, block_on, settings};

#[test]
fn records_reasons_and_commits_add_up_to_the_ledgers() {
    // Commits that move, or replies that are lost: what is folded again is not counted again. Not both at once: a
    // commit whose reply is lost, in a store that has moved since, may be anybody's.
    let moved = Faults { moved: 10, ..Faults::default() };
    let lost_reply = Faults { lost_reply: 30, ..Faults::default() };
    add_up(moved, |counters| counters.replays);
    add_up(lost_reply, |counters| counters.lost_replies);
}

fn add_up(faults: Faults, faced: fn(&Counters) -> u64) {
    block_on(async {
        let mut world = World::new(95).await;
        world.shop(800).await;
        let store = Faulty::new(std::sync::Arc::clone(&world.store), 95, faults);
        let parts = online::updater::Parts { store, ..world.parts() };
        let (updater, handle) = Updater::open(settings(), parts).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
        let counters = handle.counters();
        assert!(faced(&counters) > 0, "{counters:?}");

        let lanes = status(&*world.log, &*world.store, &world.lanes, false).await.unwrap();
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        let (mut commits, measured) = (0, handle.measures());
        assert_eq!(measured.len(), world.lanes.len());
        for (lane, measures) in &measured {
            let of_lane = || lanes.iter().filter(|row| row.lane == lane.id.to_string());
            assert_eq!(measures.records.applied, of_lane().map(|l| l.applied).sum::<u64>());
            assert_eq!(measures.records.duplicate, of_lane().map(|l| l.duplicate).sum::<u64>());
            assert_eq!(measures.records.late, of_lane().map(|l| l.late).sum::<u64>());
            let dead: u64 = of_lane().map(|l| l.dead_lettered).sum();
            assert_eq!(measures.records.dead_lettered, dead);
            assert_eq!(measures.dead_letters.iter().map(|(_, n)| n).sum::<u64>(), dead);
            for (reason, count) in measures.dead_letters.iter().filter(|(_, count)| *count > 0) {
                *reasons.entry(reason.as_str().to_owned()).or_default() += count;
            }
            commits += measures.commit.count();
            assert_eq!(measures.visible.count(), 0, "all of it was there before the start");
        }
        assert_eq!(commits, counters.commits);
        // A replay writes its letters again, under the same ids.
        let mut letters: BTreeMap<String, String> = BTreeMap::new();
        for letter in read_all(&*world.log, "dead-letter").await {
            let text = |key: &str| letter[key].as_str().unwrap().to_owned();
            letters.insert(text("id"), text("reason"));
        }
        let mut written: BTreeMap<String, u64> = BTreeMap::new();
        letters.into_values().for_each(|reason| *written.entry(reason).or_default() += 1);
        assert_eq!(reasons, written);
    });
}

#[test]
fn each_event_after_the_start_is_timed_once_in_each_lane() {
    block_on(async {
        let mut world = World::new(96).await;
        world.shop(100).await;
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let now = world.clock.now();
        let events = (0..60).map(|n| view(&format!("n{n}"), &format!("v{n}"), "i", now));
        world.append("clickstream", events.collect()).await;
        // They wait for so long: nobody works yet.
        world.clock.advance(Duration::from_secs(3));
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        let timed = async {
            loop {
                let seen = |source: &str| {
                    let measures = handle.measures().into_iter();
                    let of = measures.filter(|(lane, _)| lane.source.name == source);
                    of.map(|(_, measures)| measures.visible).collect::<Vec<_>>()
                };
                let seen = (seen("clickstream"), seen("catalog"));
                if seen.0.iter().all(|visible| visible.count() >= 60) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (clicks, items) = tokio::time::timeout(PATIENCE, timed).await.unwrap();
        assert_eq!(clicks.len(), 2);
        for visible in clicks {
            assert_eq!((visible.count(), visible.max), (60, Duration::from_secs(3)));
        }
        assert!(items.iter().all(|visible| visible.count() == 0), "none came");
        updating.abort();
    });
}
