//! What was not folded lies in topics `late` and `dead-letter`: as many as the ledgers say.

use std::collections::BTreeSet;
use std::time::Duration;

use event_log::EventLog;
use online::updater::status;
use record::{Offset, Partition};
use serde_json::Value;

use crate::events::view;
use crate::world::{World, block_on, settings};

pub(crate) async fn read_all(log: &dyn EventLog, topic: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for (bounds, p) in log.bounds(topic).await.unwrap().into_iter().zip(0..) {
        let mut reader = log.reader(topic, Partition(p), Offset(0)).await.unwrap();
        while reader.position() < bounds.next {
            let records = reader.next(1000, Duration::from_secs(5)).await.unwrap();
            all.extend(records.iter().map(|r| serde_json::from_slice::<Value>(&r.value).unwrap()));
        }
    }
    all
}

#[test]
fn ledgers_and_topics_agree() {
    block_on(async {
        let mut world = World::new(31).await;
        world.shop(800).await;
        let handle = world.drain(settings()).await;
        let lanes =
            status(world.log.as_ref(), world.store.as_ref(), &world.lanes, false).await.unwrap();
        let late = read_all(world.log.as_ref(), "late").await;
        let dead = read_all(world.log.as_ref(), "dead-letter").await;
        assert_eq!(late.len() as u64, lanes.iter().map(|lane| lane.late).sum::<u64>());
        assert_eq!(dead.len() as u64, lanes.iter().map(|lane| lane.dead_lettered).sum::<u64>());
        assert_eq!(handle.counters().late_written, late.len() as u64);
        let reasons: BTreeSet<&str> = dead.iter().map(|d| d["reason"].as_str().unwrap()).collect();
        assert!(reasons.contains("malformed") && reasons.contains("future"), "{reasons:?}");
        assert!(
            dead.iter().all(|letter| letter["detail"] != ""),
            "each says what was wrong: {dead:?}"
        );
        let ids: BTreeSet<&str> =
            late.iter().chain(&dead).map(|d| d["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), late.len() + dead.len(), "an id for each, and no two alike");
    });
}

#[test]
fn a_dead_letter_keeps_its_bytes_its_place_and_its_reason() {
    block_on(async {
        let world = World::new(32).await;
        let now = world.clock.now();
        let mut torn = view("a", "ann", "i1", now);
        torn.value.truncate(20);
        let original = String::from_utf8(torn.value.clone()).unwrap();
        world.append("clickstream", vec![torn]).await;
        world.drain(settings()).await;
        let dead = read_all(world.log.as_ref(), "dead-letter").await;
        assert_eq!(dead.len(), 2, "one for each lane of the source");
        for letter in &dead {
            assert_eq!(letter["value"]["text"], original);
            assert_eq!(letter["key"]["text"], "ann");
            assert_eq!((&letter["topic"], &letter["offset"]), (&"clickstream".into(), &0.into()));
            assert_eq!(letter["reason"], "malformed");
            assert_ne!(letter["detail"], "", "for a person");
        }
    });
}

#[test]
fn an_updater_that_stalled_past_a_ttl_says_the_same() {
    use crate::replay::{digests, fresh_digests};
    block_on(async {
        let mut world = World::new(33).await;
        world.shop(200).await;
        world.drain(settings()).await;
        // Longer than every TTL but the catalogue's; nobody updates meanwhile.
        world.clock.advance(Duration::from_secs(100 * 86_400));
        world.shop(200).await;
        world.clock.advance(Duration::from_secs(100 * 86_400));
        world.drain(settings()).await;
        world.shop(50).await;
        world.drain(settings()).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 450).await
        );
    });
}

#[test]
fn monstrous_records_are_dead_letters_and_stop_nobody() {
    use event_log::NewRecord;
    block_on(async {
        let world = World::new(34).await;
        let now = world.clock.now();
        let category = |id: &str, bytes: usize| {
            let mut record = view(id, "ann", "i1", now);
            let text = String::from_utf8(record.value).unwrap();
            let field = format!(",\"category\":\"{}\"}}", "c".repeat(bytes));
            record.value = text.replace('}', &field).into_bytes();
            record
        };
        let control = vec![1; 300_000];
        let monsters = vec![
            view("a", &"v".repeat(100_000), "i1", now),
            view("b", "ann", &"i".repeat(100_000), now),
            category("c", 500_000),
            NewRecord { key: control.clone(), value: control[..140_000].to_vec(), trace: None },
            NewRecord { key: b"k".to_vec(), value: control, trace: None },
        ];
        world.append("clickstream", monsters).await;
        world.append("clickstream", vec![category("d", 100), view("e", "ann", "i2", now)]).await;
        let handle = world.drain(settings()).await;
        let lanes =
            status(world.log.as_ref(), world.store.as_ref(), &world.lanes, false).await.unwrap();
        let of = |entity: &str| {
            let lanes = lanes.iter().filter(|l| l.source == "clickstream" && l.entity == entity);
            lanes.fold((0, 0), |(a, d), lane| (a + lane.applied, d + lane.dead_lettered))
        };
        assert_eq!(of("visitor"), (2, 5), "an item id that long is no text to keep either");
        assert_eq!(of("item"), (3, 4), "the item's lane keeps no category");
        assert_eq!(handle.counters().dead_letters_written, 9);
        assert!(handle.counters().originals_left_out > 0);
        let dead = read_all(world.log.as_ref(), "dead-letter").await;
        assert_eq!(dead.len(), 9);
        assert!(dead.iter().all(|letter| letter["detail"].as_str().unwrap().len() <= 1000));
    });
}
