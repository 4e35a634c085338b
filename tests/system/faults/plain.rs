//! Kafka as anybody would use it: a producer and a consumer that know nothing of twofold's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, Timestamp};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use record::partition_for_key;

use super::events::Sent;
use super::stood::until;

pub(super) const TOPIC: &str = "clickstream";
pub(super) const PARTITIONS: u32 = 4;
/// The longest that an answer may take before it is asked for again.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest that a broker may be away.
const PATIENCE: Duration = Duration::from_secs(300);

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("reconnect.backoff.max.ms", "200");
    config
}

/// Counts what was not delivered.
#[derive(Clone, Default)]
struct Failures(Arc<AtomicU64>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_err()), Ordering::SeqCst);
    }
}

/// Sends what is in a ledger, in its order, each record once.
pub(super) struct Producer {
    producer: ThreadedProducer<Failures>,
    failures: Failures,
}

impl Producer {
    pub(super) fn new(bootstrap: &str) -> Self {
        let failures = Failures::default();
        let mut config = config(bootstrap);
        let timeout_ms = PATIENCE.as_millis().to_string();
        config.set("enable.idempotence", "true").set("message.timeout.ms", timeout_ms);
        let producer = config.create_with_context(failures.clone()).unwrap();
        Self { producer, failures }
    }

    /// Hands records over; [`Producer::flush`] waits for them.
    pub(super) fn send(&self, records: &[Sent]) {
        for sent in records {
            let partition = partition_for_key(&sent.key, PARTITIONS).0 as i32;
            let record = || {
                let record = BaseRecord::to(TOPIC).partition(partition);
                record.key(&sent.key).payload(&sent.value)
            };
            while let Err((error, _)) = self.producer.send(record()) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full, "{error}");
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Whether the brokers have all of it in time.
    pub(super) fn arrives_within(&self, patience: Duration) -> bool {
        self.producer.flush(patience).is_ok() && self.failures.0.load(Ordering::SeqCst) == 0
    }

    /// Waits until the brokers have all of it.
    pub(super) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
        assert_eq!(self.failures.0.load(Ordering::SeqCst), 0, "records were not delivered");
    }
}

/// A record as a consumer finds it.
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) append_ms: i64,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

fn consumer(bootstrap: &str) -> BaseConsumer {
    let mut config = config(bootstrap);
    config.set("group.id", "oracle").set("enable.auto.commit", "false");
    config.create().unwrap()
}

/// Where the partitions of a topic end.
pub(super) fn ends(bootstrap: &str, topic: &str) -> Vec<u64> {
    let mut ends = None;
    // A broker that has just started leads no partition yet; and a consumer may lose its broker for good.
    until("the ends of partitions", || {
        let consumer = consumer(bootstrap);
        let end = |partition| consumer.fetch_watermarks(topic, partition, ANSWER);
        let all: Result<Vec<_>, _> = (0..PARTITIONS as i32).map(end).collect();
        ends = all.ok();
        ends.is_some()
    });
    ends.expect("just asked").into_iter().map(|(_, end)| end as u64).collect()
}

/// All records of a topic, by partition; their offsets have no gaps.
pub(super) fn read(bootstrap: &str, topic: &str) -> Vec<Vec<Found>> {
    let consumer = consumer(bootstrap);
    let ends = ends(bootstrap, topic);
    let mut assigned = TopicPartitionList::new();
    for partition in 0..PARTITIONS as i32 {
        assigned.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assigned).unwrap();
    let mut found: Vec<Vec<Found>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
    let all: u64 = ends.iter().sum();
    for read in 0..all {
        let message = consumer.poll(PATIENCE).unwrap_or_else(|| panic!("{read} of {all}"));
        let message = message.unwrap();
        let Timestamp::LogAppendTime(append_ms) = message.timestamp() else {
            panic!("the log's own time is missing")
        };
        let partition = &mut found[message.partition() as usize];
        assert_eq!(message.offset() as usize, partition.len(), "offsets without gaps");
        partition.push(Found {
            offset: message.offset() as u64,
            append_ms,
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap_or_default().to_vec(),
        });
    }
    found
}
