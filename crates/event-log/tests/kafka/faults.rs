//! A broker that is killed, kept out of its cluster, or away for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Appended, Error, EventLog, Kafka, NewRecord};
use record::{Offset, Partition};

use crate::harness::{
    Broker, PATIENCE, answered, append_one, read_to_end, read_until, record, unique, within,
};

const PARTITIONS: u32 = 3;
/// Times that the broker is struck.
const STRIKES: usize = 3;

/// What an appender was told about each of its records, by value.
type Told = BTreeMap<String, Option<Appended>>;

/// Appends until it is told to stop; each value once, never again under the same name.
async fn appender(log: Arc<Kafka>, topic: String, name: usize, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::new();
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let values: Vec<String> = (0..20).map(|i| format!("{name}:{batch}:{i}")).collect();
        let records: Vec<NewRecord> = values.iter().map(|value| record(value, value)).collect();
        match log.append(&topic, records).await {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), values.len());
                told.extend(values.into_iter().zip(outcomes.into_iter().map(Result::ok)));
            }
            Err(Error::Unavailable { .. }) => {
                told.extend(values.into_iter().map(|value| (value, None)));
            }
            Err(error) => panic!("{error}"),
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_broker_that_is_killed_loses_and_doubles_nothing() {
    let kill = async |broker: &Broker| {
        tokio::task::block_in_place(|| broker.server().restart());
    };
    loses_and_doubles_nothing(&Broker::own(), kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_broker_that_is_kept_out_loses_and_doubles_nothing() {
    loses_and_doubles_nothing(&Broker::unsteady(), Broker::until_let_in_again).await;
}

/// The broker is struck in the middle of appends and reads: what was acknowledged is there, where it was said to
/// be; nothing is there twice; readers go on.
async fn loses_and_doubles_nothing(broker: &Broker, strike: impl AsyncFn(&Broker)) {
    let (log, topic) = (Arc::new(broker.log()), unique("struck"));
    answered("a topic", async || log.create(&topic, PARTITIONS).await).await;
    let stop = Arc::new(AtomicBool::new(false));
    let appenders: Vec<_> = (0..4)
        .map(|name| {
            tokio::spawn(appender(Arc::clone(&log), topic.clone(), name, Arc::clone(&stop)))
        })
        .collect();
    let mut readers = Vec::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let open = async || log.reader(&topic, partition, Offset(0)).await;
        let mut reader = answered("a reader", open).await;
        let (log, topic, stop) = (Arc::clone(&log), topic.clone(), Arc::clone(&stop));
        readers.push(tokio::spawn(async move {
            let mut found = Vec::new();
            loop {
                let stopped = stop.load(Ordering::Relaxed);
                match reader.next(1_000, Duration::from_millis(100)).await {
                    Ok(records) => found.extend(records),
                    Err(Error::Unavailable { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                if !stopped {
                    continue;
                }
                let bounds = log.bounds(&topic).await;
                if bounds.is_ok_and(|all| reader.position() >= all[partition.0 as usize].next) {
                    return found;
                }
            }
        }));
    }
    let bounds = async || answered("the bounds", async || log.bounds(&topic).await).await;
    for _ in 0..STRIKES {
        let before = bounds().await;
        within("progress", async {
            while let now = bounds().await
                && now.iter().zip(&before).any(|(now, before)| now.next.0 < before.next.0 + 500)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        strike(broker).await;
    }
    // Every appender's last batch is answered too.
    stop.store(true, Ordering::Relaxed);
    let mut told = Told::new();
    for appender in appenders {
        told.extend(within("an appender", appender).await.unwrap());
    }
    let acknowledged = told.values().flatten().count();
    let mut there = BTreeMap::new();
    for (partition, reader) in readers.into_iter().enumerate() {
        let read = within("a reader", reader).await.unwrap();
        let partition = Partition(partition as u32);
        let end = bounds().await[partition.0 as usize].next;
        let open = async || log.reader(&topic, partition, Offset(0)).await;
        let mut again = answered("a reader", open).await;
        let again = read_until(&mut *again, end).await;
        assert_eq!(read, again, "what was read meanwhile is what is there");
        assert!(read.is_sorted_by(|a, b| a.offset < b.offset), "offsets rise");
        for record in read {
            let value = String::from_utf8(record.value).unwrap();
            let place =
                Appended { partition, offset: record.offset, append_time: record.append_time };
            let twice = there.insert(value.clone(), place);
            assert_eq!(twice, None, "{value} is there twice");
        }
    }
    for (value, outcome) in &told {
        if let Some(appended) = outcome {
            assert_eq!(there.get(value), Some(appended), "{value} was acknowledged");
        }
    }
    let unknown = there.keys().filter(|value| !told.contains_key(*value)).count();
    assert_eq!(unknown, 0, "nothing that nobody sent");
    println!(
        "{STRIKES} strikes: {} sent, {acknowledged} acknowledged, {} there",
        told.len(),
        there.len()
    );
}

/// Without a broker an append ends with errors in the time that the settings allow, what waits is
/// bounded, and the log works on when the broker is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn appends_without_a_broker_end_with_errors() {
    let broker = Broker::own();
    let settings = Settings {
        delivery_timeout_ms: 2_000,
        request_timeout_ms: 1_000,
        // The broker is not asked who the topic is while it is away.
        identity_age_ms_max: 3_600_000,
        ..broker.settings()
    };
    let (log, topic) = (Arc::new(Kafka::open(settings).unwrap()), unique("away"));
    log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "before").await;
    broker.server().pause();
    // Three times what may be under way.
    let large = "x".repeat(1 << 20);
    let appends: Vec<_> = (0..24)
        .map(|_| {
            let (log, topic) = (Arc::clone(&log), topic.clone());
            let records = (0..8).map(|_| record("key", &large[..1_000_000])).collect();
            tokio::spawn(async move { log.append(&topic, records).await.unwrap() })
        })
        .collect();
    let mut failed = 0;
    for append in appends {
        for outcome in within("an answer", append).await.unwrap() {
            match outcome {
                Ok(_) => {}
                Err(Error::Unavailable { .. }) => failed += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(failed, 24 * 8, "a broker that stands still acknowledges nothing");
    broker.server().resume();
    let after = within("an append", async {
        loop {
            let outcomes = log.append(&topic, vec![record("key", "after")]).await.unwrap();
            match outcomes.into_iter().next().unwrap() {
                Ok(appended) => return appended,
                Err(Error::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let found = read_to_end(&log, &topic, Partition(0)).await;
    assert_eq!(found.last().unwrap().offset, after.offset);
    assert_eq!(found.iter().filter(|record| record.value == b"after").count(), 1);
}

/// Connections of this machine that were refused.
fn refused() -> u64 {
    let counters = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "AttemptFails").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// A question that waits for a broker that is gone tries again and again, with pauses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_broker_that_is_away_is_not_stormed() {
    let broker = Broker::own();
    let settings = Settings { request_timeout_ms: 1_000, ..broker.settings() };
    let (log, topic) = (Kafka::open(settings).unwrap(), unique("away"));
    log.create(&topic, 1).await.unwrap();
    broker.server().kill();
    let before = refused();
    for _ in 0..3 {
        assert!(matches!(log.topic(&topic).await, Err(Error::Unavailable { .. })));
    }
    // Other tests' clients are among them, each with a few in a second.
    let attempts = refused() - before;
    println!("{attempts} attempts");
    assert!(attempts < 1_500, "{attempts} attempts in three seconds");
}

/// There are records and none comes: the reader says so instead of waiting for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_stalled_reader_says_so() {
    let broker = Broker::own();
    let settings =
        Settings { stall_timeout_ms: 500, request_timeout_ms: 1_000, ..broker.settings() };
    let (log, topic) = (Kafka::open(settings).unwrap(), unique("stalled"));
    log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "first").await;
    let mut reader = log.reader(&topic, Partition(0), Offset(1)).await.unwrap();
    assert!(reader.next(1, Duration::from_millis(1_500)).await.unwrap().is_empty(), "no lag");
    broker.server().pause();
    let error = reader.next(1, PATIENCE).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains(&topic), "{error}");
    broker.server().resume();
    append_one(&log, &topic, "second").await;
    let found = within("the record", async {
        loop {
            match reader.next(1, PATIENCE).await {
                Ok(found) => return found,
                Err(Error::Unavailable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    assert_eq!(found[0].value, b"second");
}
