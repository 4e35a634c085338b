//! A name that stands for another log than it did.

use std::sync::Arc;
use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Error, EventLog, Kafka, Reader};
use record::{Offset, Partition};
use tokio::time::Instant;

use crate::harness::{Broker, append_one, record, unique, within};

/// A log that looks at a topic's identity before each batch of records.
fn strict(broker: &Broker) -> Kafka {
    Kafka::open(Settings { identity_age_ms_max: 0, ..broker.settings() }).unwrap()
}

/// One that believes that a topic is gone as late as any does.
fn patient(broker: &Broker) -> Kafka {
    let missing_limit_ms = Settings::new("").missing_limit_ms;
    Kafka::open(Settings { missing_limit_ms, identity_age_ms_max: 0, ..broker.settings() }).unwrap()
}

async fn next_error(reader: &mut dyn Reader) -> Error {
    within("an error", async {
        loop {
            match reader.next(10, Duration::from_millis(100)).await {
                Ok(_) | Err(Error::Unavailable { .. }) => {}
                Err(error) => return error,
            }
        }
    })
    .await
}

/// The new log has records behind the reader's position: they are never handed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_reader_stops_at_a_recreated_topic() {
    let broker = Broker::shared();
    let (log, other, topic) = (strict(&broker), broker.log(), unique("recreated-while-read"));
    let old = log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "old").await;
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    while reader.position() == Offset(0) {
        let found = reader.next(10, Duration::from_secs(1)).await.unwrap();
        assert!(found.iter().all(|record| record.value == b"old"));
    }
    broker.delete_topic(&topic).await;
    let new = other.create(&topic, 1).await.unwrap();
    for i in 0..5 {
        append_one(&other, &topic, &format!("new {i}")).await;
    }
    // Time for the reader to read ahead from the new log; without it the test would still hold, but
    // for another reason: the topic is looked at while nothing comes, too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let error = within("an error", async {
        loop {
            match reader.next(10, Duration::from_millis(100)).await {
                Ok(found) => assert!(found.is_empty(), "read from another log: {found:?}"),
                Err(Error::Unavailable { .. }) => {}
                Err(error) => return error,
            }
        }
    })
    .await;
    match &error {
        Error::Recreated { expected, found, .. } => {
            assert_eq!((*expected, *found), (old.log, new.log));
        }
        // It looked while the topic was gone.
        Error::NoTopic { .. } => {}
        other => panic!("{other}"),
    }
    assert_eq!(next_error(&mut *reader).await.to_string(), error.to_string(), "it stays so");
}

/// Whoever holds the old id is not told positions of the new log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn appends_stop_at_a_recreated_topic() {
    let broker = Broker::shared();
    let (log, other, topic) = (strict(&broker), broker.log(), unique("recreated-while-written"));
    log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "old").await;
    broker.delete_topic(&topic).await;
    other.create(&topic, 1).await.unwrap();
    let error = log.append(&topic, vec![record("key", "for the old log")]).await.unwrap_err();
    assert!(matches!(error, Error::Recreated { .. }), "{error}");
    assert!(error.to_string().contains("lanes remove"), "names the remedy: {error}");
    assert!(log.topic(&topic).await.is_err(), "nor is the new one taken for the old");
    let end = other.bounds(&topic).await.unwrap()[0].next;
    assert_eq!(end, Offset(0), "nothing was written into the new log");
    assert!(broker.log().topic(&topic).await.is_ok(), "a log that is opened now knows only this");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn readers_and_appends_stop_when_partitions_are_added() {
    let broker = Broker::shared();
    let (log, topic) = (strict(&broker), unique("expanded"));
    log.create(&topic, 2).await.unwrap();
    append_one(&log, &topic, "value").await;
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    broker.add_partitions(&topic, 3).await;
    for error in [
        next_error(&mut *reader).await,
        log.append(&topic, vec![record("key", "value")]).await.unwrap_err(),
        log.topic(&topic).await.unwrap_err(),
        log.bounds(&topic).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Partitions { found: 3, expected: 2, .. }), "{error}");
    }
    let as_before = broker.log().create(&topic, 2).await.unwrap_err();
    assert!(matches!(as_before, Error::Partitions { found: 3, expected: 2, .. }), "{as_before}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_reader_stops_at_a_deleted_topic() {
    let broker = Broker::shared();
    let (log, topic) = (broker.log(), unique("deleted"));
    log.create(&topic, 1).await.unwrap();
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    broker.delete_topic(&topic).await;
    let error = next_error(&mut *reader).await;
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
}

/// A broker that has just started may not know its topics yet; whoever starts beside it waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_topic_that_is_not_known_yet_is_waited_for() {
    let broker = Broker::shared();
    let (log, topic) = (patient(&broker), unique("not-yet"));
    let asked = tokio::spawn({
        let topic = topic.clone();
        async move { log.topic(&topic).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let created = broker.log().create(&topic, 1).await.unwrap();
    assert_eq!(within("the topic", asked).await.unwrap().unwrap(), created);
}

/// Whatever a look finds missing is looked for again, by whoever looks, before it is taken for gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_topic_that_is_missed_for_a_moment_is_not_gone() {
    let broker = Broker::shared();
    let (log, other) = (Arc::new(patient(&broker)), broker.log());
    let topic = unique("missed");
    let old = log.create(&topic, 1).await.unwrap();
    broker.delete_topic(&topic).await;
    let asks = ["for its identity", "for its end", "to append", "for a reader"].map(|what| {
        let (log, topic) = (Arc::clone(&log), topic.clone());
        tokio::spawn(async move {
            let error = match what {
                "for its identity" => log.topic(&topic).await.err(),
                "for its end" => log.bounds(&topic).await.err(),
                "to append" => log.append(&topic, vec![record("key", "value")]).await.err(),
                _ => log.reader(&topic, Partition(0), Offset(0)).await.err(),
            };
            (what, error)
        })
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let new = other.create(&topic, 1).await.unwrap();
    for asked in asks {
        // Were it the same topic, they would have their answers.
        match within("an answer", asked).await.unwrap() {
            (_, Some(Error::Recreated { expected, found, .. })) => {
                assert_eq!((expected, found), (old.log, new.log));
            }
            (what, error) => panic!("{what}: {error:?}"),
        }
    }
}

/// The brokers' answer is believed in the end, and at once where they are known to be past their start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_topic_that_was_never_there_is_missed_once() {
    let broker = Broker::shared();
    let settings = Settings { missing_limit_ms: 2_000, ..broker.settings() };
    let log = Kafka::open(settings).unwrap();
    let start = Instant::now();
    let error = log.topic(&unique("never")).await.unwrap_err();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(1_800), "{:?}", start.elapsed());
    let start = Instant::now();
    let error = log.topic(&unique("never")).await.unwrap_err();
    assert!(matches!(error, Error::NoTopic { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_millis(1_000), "{:?}", start.elapsed());
}
