//! Topics with settings that the log does not survive, and records that are gone.

use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Error, EventLog, Kafka};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{NewTopic, TopicReplication};
use record::{Offset, Partition};

use crate::harness::{Broker, append_one, options, record, unique, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn created_topics_pass_the_check_and_others_say_why_not() {
    let broker = Broker::shared();
    let (log, good, bad) = (broker.log(), unique("good"), unique("bad"));
    log.create(&good, 1).await.unwrap();
    assert_eq!(log.check(&good).await.unwrap(), []);
    let settings = [
        ("message.timestamp.type", "CreateTime"),
        ("cleanup.policy", "compact"),
        ("unclean.leader.election.enable", "true"),
        ("max.message.bytes", "1000"),
        ("retention.ms", "3600000"),
        ("retention.bytes", "1000000"),
    ];
    let new = NewTopic::new(&bad, 1, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    broker.admin().create_topics([&new], &options()).await.unwrap();
    let findings = within("the topic", async {
        loop {
            match log.check(&bad).await {
                Ok(findings) => return findings,
                Err(Error::NoTopic { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let found: Vec<_> = findings.iter().map(|f| (f.setting, f.found.as_str())).collect();
    assert_eq!(found, settings);
    for finding in &findings {
        let mends = format!("--add-config {}=", finding.setting);
        assert!(finding.remedy.contains(&mends), "{}", finding.remedy);
    }
    let refused = log.append(&bad, vec![record("key", "value")]).await.unwrap();
    assert!(matches!(refused[0], Err(Error::Unfit { .. })), "{refused:?}");
    let mut reader = log.reader(&bad, Partition(0), Offset(0)).await.unwrap();
    for _ in 0..2 {
        let error = within("an error", async {
            loop {
                match reader.next(10, Duration::from_millis(100)).await {
                    Ok(found) => assert!(found.is_empty(), "{found:?}"),
                    Err(error) => return error,
                }
            }
        })
        .await;
        assert!(matches!(error, Error::Unfit { .. }), "{error}");
    }
}

/// The broker deletes what a reader has not read yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn positions_before_the_log_are_errors() {
    let broker = Broker::shared();
    let (log, topic) = (broker.log(), unique("cut"));
    log.create(&topic, 1).await.unwrap();
    for i in 0..10 {
        append_one(&log, &topic, &i.to_string()).await;
    }
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(4)).unwrap();
    broker.admin().delete_records(&cut, &options()).await.unwrap();
    assert_eq!(log.bounds(&topic).await.unwrap()[0].first, Offset(4));
    let error = log.reader(&topic, Partition(0), Offset(3)).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, Error::OutOfRange { first: Offset(4), .. }), "{text}");
    assert!(text.contains("bootstrap"), "names the remedy: {text}");
    // The same under a reader that stands at the end: nothing is lost, so it goes on.
    let mut reader = log.reader(&topic, Partition(0), Offset(10)).await.unwrap();
    append_one(&log, &topic, "10").await;
    let found = reader.next(10, Duration::from_secs(20)).await.unwrap();
    assert_eq!(found[0].offset, Offset(10));
}

/// The broker deletes what a reader has not read yet: it reads what it had read ahead, and stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_reader_stops_where_the_log_was_cut() {
    const RECORDS: u64 = 40;
    let broker = Broker::shared();
    let (log, topic) = (broker.log(), unique("cut-while-read"));
    log.create(&topic, 1).await.unwrap();
    // Far more than is read ahead.
    let large = "x".repeat(1_000_000);
    for _ in 0..RECORDS {
        append_one(&log, &topic, &large).await;
    }
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(RECORDS as i64 - 1)).unwrap();
    broker.admin().delete_records(&cut, &options()).await.unwrap();
    let mut next = 0;
    let error = within("an error", async {
        loop {
            match reader.next(1, Duration::from_millis(100)).await {
                Ok(found) => {
                    for record in found {
                        assert_eq!(record.offset, Offset(next), "no gap");
                        next += 1;
                    }
                }
                Err(error) => return error,
            }
        }
    })
    .await;
    let first = Offset(RECORDS - 1);
    let text = error.to_string();
    let Error::OutOfRange { position, first: found, .. } = error else { panic!("{text}") };
    assert_eq!((position, found), (Offset(next), first), "{text}");
    assert!(text.contains("bootstrap"), "names the remedy: {text}");
    let again = reader.next(1, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(again.to_string(), text, "it stays so");
}

/// Brokers that are not there: an error within the time that the settings allow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn brokers_that_are_not_there_are_an_error() {
    let nowhere = format!("127.0.0.1:{}", servers::free_port());
    let settings = Settings { request_timeout_ms: 500, ..Settings::new(nowhere) };
    let log = Kafka::open(settings).unwrap();
    let error = within("an error", log.topic("any")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("topic any"), "{error}");
}

#[test]
fn properties_that_librdkafka_does_not_know_are_named() {
    let mut settings = Settings::new("localhost:1");
    settings.properties.insert("lingger.ms".into(), "1".into());
    let error = Kafka::open(settings).err().unwrap();
    assert!(matches!(&error, Error::BadSetting { key, .. } if key == "lingger.ms"), "{error}");
}
