//! The record of what was served.

use std::sync::Arc;
use std::time::Duration;

use event_log::EventLog;
use fold::{EntityState, Head, StateKey, encode_values, read_time};
use prost::Message;
use record::{EventTime, Offset, Partition};
use wire::v1;

use crate::world::{ITEMS, Setup, World, ask, ids};

async fn records(log: &Arc<dyn EventLog>) -> Vec<v1::Served> {
    let mut records = Vec::new();
    for (partition, bounds) in (0..).zip(log.bounds("served").await.unwrap()) {
        let mut reader = log.reader("served", Partition(partition), Offset(0)).await.unwrap();
        while reader.position() < bounds.next {
            for record in reader.next(100, Duration::from_secs(5)).await.unwrap() {
                let served = v1::Served::decode(record.value.as_slice()).unwrap();
                let visitor = &served.request.as_ref().unwrap().visitor_id;
                assert_eq!(visitor.as_bytes(), record.key);
                records.push(served);
            }
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_holds_what_a_replay_needs() {
    let settings = online::service::Settings { unserved_sample: 2, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    let min_positions = world.view("ann", &["hat1", "shoe1"]).await;
    let request = v1::RecommendRequest { k: 2, min_positions, ..ask("ann") };
    let response = world.recommend(request.clone()).await.unwrap();
    let dry = v1::RecommendRequest { dry_run: true, ..request.clone() };
    world.recommend(dry).await.unwrap();
    let (handle, definitions) = (world.handle.clone(), Arc::clone(&world.definitions));
    let (_directory, log) = world.stop().await;
    let records = records(&log).await;
    assert_eq!(records.len(), 1, "a dry run leaves none");
    assert_eq!(handle.metrics.snapshot().served_written, 1);
    let served = &records[0];
    assert_eq!(served.request, Some(request));
    assert_eq!(served.response.as_ref(), Some(&response));
    assert_eq!(served.embedding, "09".repeat(32));
    assert_eq!(served.snapshots["indexes"], crate::world::indexes().digest_hex());
    assert_eq!(served.item_table_reads.len(), 8, "two item lanes, four partitions");

    // The visitor's bytes are those of the log's replay to the recorded position.
    let lanes = definitions.lanes();
    let lane = lanes.iter().find(|lane| lane.entity == "visitor").unwrap();
    let read = &served.visitor_reads[0];
    let position = read.position.clone().unwrap();
    let topic = log.topic("clickstream").await.unwrap();
    let partition = Partition(position.partition);
    let mut reader = log.reader("clickstream", partition, Offset(0)).await.unwrap();
    let mut events = reader.next(100, Duration::from_secs(5)).await.unwrap();
    events.retain(|record| record.offset.0 < position.next);
    let decoder =
        definitions::decode::Decoder::new(Arc::clone(&lane.source), partition, topic.partitions);
    let batch = decoder.decode(&events);
    let mut replay = fold::LanePartition::new(Arc::clone(lane), partition, Head::start(topic.log));
    replay.apply(&batch, &lane.evaluate(&batch));
    let bytes = replay.state(&StateKey::entity(lane, "ann")).unwrap();
    let state = EntityState::decode(lane, &bytes).unwrap();
    assert_eq!(replay.head().watermark.0, read.watermark_us);
    let at = read_time(EventTime(response.as_of_us), &state, [replay.head().watermark]);
    let values = state.values(lane, at, Some(&crate::model::Shelves));
    assert_eq!(served.visitor_features[0], encode_values(&values));

    // Every served candidate and a sample of the rest, with what the model saw.
    let (shown, sampled): (Vec<_>, Vec<_>) =
        served.candidates.iter().partition(|candidate| candidate.position > 0);
    let shown_ids: Vec<&str> = shown.iter().map(|c| c.item_id.as_str()).collect();
    assert_eq!(shown_ids, ids(&response));
    assert!(shown.iter().all(|candidate| candidate.inclusion_probability == 1.0));
    let rest = ITEMS.len() - 2 - 2;
    assert_eq!(sampled.len(), 2);
    for candidate in sampled {
        assert_eq!(candidate.inclusion_probability, 2.0 / rest as f64);
    }
    for candidate in &served.candidates {
        let sum: f32 = candidate.inputs.iter().sum();
        assert_eq!(candidate.score, Some(sum));
        assert_eq!(candidate.item_features.len(), 2);
        assert!(!candidate.sources.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_drops_and_counts() {
    let settings = online::service::Settings { served_queue_max: 2, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    world.served_appends.hang(true);
    let count = 100;
    for _ in 0..count {
        world.recommend(ask("ann")).await.unwrap();
    }
    world.served_appends.hang(false);
    let handle = world.handle.clone();
    let (_directory, log) = world.stop().await;
    let counts = handle.metrics.snapshot();
    assert!(counts.served_overflow > 0, "{counts:?}");
    assert_eq!(counts.served_written + counts.served_overflow, count);
    assert_eq!(counts.served_written + counts.served_lost(), count);
    assert_eq!(records(&log).await.len() as u64, counts.served_written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_refuses_is_tried_again_and_then_counted() {
    let settings =
        online::service::Settings { served_retry_limit_ms: 300, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    world.served_appends.fail(true);
    world.recommend(ask("ann")).await.unwrap();
    let handle = world.handle.clone();
    world.stop().await;
    let counts = handle.metrics.snapshot();
    assert_eq!((counts.served_failed, counts.served_written), (1, 0));
    assert_eq!(counts.served_lost(), 1);
}

/// As a broker does that is killed and started again.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_away_for_seconds_loses_no_record() {
    let world = World::start(Setup::default()).await;
    world.served_appends.fail(true);
    for _ in 0..3 {
        world.recommend(ask("ann")).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.served_appends.fail(false);
    let handle = world.handle.clone();
    let (_directory, log) = world.stop().await;
    let counts = handle.metrics.snapshot();
    assert_eq!((counts.served_lost(), counts.served_written), (0, 3), "{counts:?}");
    assert_eq!(records(&log).await.len(), 3, "each of them once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_queued_when_the_service_must_end_is_counted() {
    let world = World::start(Setup::default()).await;
    world.served_appends.hang(true);
    for _ in 0..3 {
        world.recommend(ask("ann")).await.unwrap();
    }
    let handle = world.handle.clone();
    let (_directory, log) = world.stop().await;
    let counts = handle.metrics.snapshot();
    assert_eq!((counts.served_unwritten, counts.served_written), (3, 0), "{counts:?}");
    assert_eq!(counts.served_lost(), 3);
    assert!(records(&log).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_who_was_not_read_in_time_is_on_record_as_that() {
    let world = World::start(Setup::default()).await;
    world.view("ann", &["hat1"]).await;
    world.store_reads.hang(true);
    let response = world.recommend(ask("ann")).await.unwrap();
    assert_eq!(response.tier(), v1::Tier::Partial);
    world.store_reads.hang(false);
    let (_directory, log) = world.stop().await;
    let served = &records(&log).await[0];
    assert_eq!(served.response.as_ref(), Some(&response));
    let read = &served.visitor_reads[0];
    assert_eq!(read.outcome(), v1::lane_read::Outcome::Timeout);
    assert_eq!(read.position.as_ref().unwrap().next, 0, "a head that nobody saw");
    assert_eq!(served.visitor_features, [Vec::<u8>::new()]);
}
