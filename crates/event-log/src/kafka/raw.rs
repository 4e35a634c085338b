//! What benchmarks need beside the port: a bare consumer to be compared with, and topics of their own that
//! go again.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset as At, TopicPartitionList};
use tokio::time::Instant;

use super::client::{self, create};
use super::error::{blocking, of, unavailable};
use super::offsets::number;
use super::{Kafka, topic_settings};
use crate::Error;

const WHAT: &str = "reading it bare";

/// What a bare consumer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRead {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// From the assignment of the partitions to the last record.
    pub took: Duration,
}

impl Kafka {
    /// Reads a topic from its beginning to its present end with one consumer of librdkafka in one thread:
    /// its own defaults and the properties of the settings, no group joined, and nothing done with the
    /// records. It is connected before the clock runs.
    ///
    /// # Errors
    /// No such topic; or nothing comes for as long as a reader may stall.
    pub async fn read_raw(&self, topic: &str) -> Result<RawRead, Error> {
        let partitions = self.known(topic).await?.topic.partitions;
        let patience = self.settings.stall_timeout();
        let mut config = client::bare_consumer(&self.settings);
        config.set("enable.partition.eof", "true");
        let name = topic.to_owned();
        blocking(topic, WHAT, move || read(&config, &name, partitions, patience)).await
    }

    /// Deletes a topic and all of its records; one that is not there is as good.
    ///
    /// # Errors
    /// When the brokers refuse, or do not answer.
    pub async fn delete(&self, topic: &str) -> Result<(), Error> {
        topic_settings::delete(&self.admin, &self.settings, topic).await?;
        self.identities.forget(topic);
        Ok(())
    }
}

fn read(
    config: &ClientConfig,
    topic: &str,
    partitions: u32,
    patience: Duration,
) -> Result<RawRead, Error> {
    let failed = |error: KafkaError| of(topic, WHAT, &error);
    // Not ours, which would warn of the ends that are asked for.
    let consumer: BaseConsumer = create(config, DefaultConsumerContext)?;
    consumer.fetch_metadata(Some(topic), patience).map_err(failed)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, number(partition), At::Beginning).map_err(failed)?;
    }
    let start = Instant::now();
    consumer.assign(&list).map_err(failed)?;
    let (mut records, mut bytes, mut last, mut ended) = (0, 0, start, 0);
    while ended < partitions {
        match consumer.poll(patience) {
            Some(Ok(message)) => {
                records += 1;
                bytes += (message.key_len() + message.payload_len()) as u64;
                last = Instant::now();
            }
            // The broker may be slow to say so: the clock stopped with the last record.
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(unavailable(topic, WHAT, "no record came in time")),
        }
    }
    Ok(RawRead { records, bytes, took: last - start })
}
