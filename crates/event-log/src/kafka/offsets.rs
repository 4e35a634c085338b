//! What the partitions of a topic hold.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset as At, TopicPartitionList};
use record::{Offset, Partition};
use tokio::time::Instant;

use super::client::Context;
use super::error::{of, unavailable};
use crate::{Bounds, Error};

const WHAT: &str = "asking for its offsets";
/// While leaders change the brokers refuse questions that librdkafka repeats only when it is asked
/// again; so long after each refusal.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// How long the brokers may take to say who leads before it is thought that none is known.
const LOOK: Duration = Duration::from_secs(1);

/// Bounds of the partitions, in their order. The end is that of what is committed: `consumer` reads
/// no further.
pub(super) fn bounds(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partitions: impl Iterator<Item = u32> + Clone,
    timeout: Duration,
) -> Result<Vec<Bounds>, Error> {
    let deadline = Instant::now() + timeout;
    let ask = |at| loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ask(consumer, topic, partitions.clone(), at, left) {
            Err(Error::Unavailable { .. }) if left > REFUSED_PAUSE => {
                std::thread::sleep(REFUSED_PAUSE);
                // What librdkafka knows of the topic may be older than the topic itself or its leaders, and
                // it does not look again for this question. If this look fails, the next answer says so.
                let look = deadline.saturating_duration_since(Instant::now()).min(LOOK);
                if consumer.fetch_metadata(Some(topic), look).is_err() {
                    consumer.context().lifeline.lost();
                }
            }
            answer => return answer,
        }
    };
    // The beginning first: it may move on, but not past an end that was asked for later.
    let first = ask(At::Beginning)?;
    let next = ask(At::End)?;
    consumer.context().lifeline.found();
    Ok(first.into_iter().zip(next).map(|(first, next)| Bounds { first, next }).collect())
}

fn ask(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partitions: impl Iterator<Item = u32>,
    at: At,
    timeout: Duration,
) -> Result<Vec<Offset>, Error> {
    let mut list = TopicPartitionList::new();
    let mut asked = Vec::new();
    for partition in partitions {
        list.add_partition_offset(topic, number(partition), at)
            .map_err(|error| of(topic, WHAT, &error))?;
        asked.push(partition);
    }
    let found =
        consumer.offsets_for_times(list, timeout).map_err(|error| of(topic, WHAT, &error))?;
    asked
        .into_iter()
        .map(|partition| {
            let element = found
                .find_partition(topic, number(partition))
                .ok_or_else(|| unavailable(topic, WHAT, "no answer for a partition"))?;
            element.error().map_err(|error| of(topic, WHAT, &error))?;
            match element.offset() {
                At::Offset(offset) if offset >= 0 => Ok(Offset(offset as u64)),
                other => Err(unavailable(topic, WHAT, format!("{other:?} is no offset"))),
            }
        })
        .collect()
}

/// Kafka's number of a partition.
pub(super) fn number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

/// A position that is not in a partition, and what to do about it.
pub(super) fn check_range(
    topic: &str,
    partition: Partition,
    position: Offset,
    bounds: Bounds,
) -> Result<(), Error> {
    let remedy = if position > bounds.next {
        "the position is ahead of the log, so it belongs to another one or the log lost its end: \
         bootstrap the state from this log"
    } else if position < bounds.first {
        "these records were deleted before they were read: bootstrap the state from the archive, \
         and keep records longer (retention.ms)"
    } else {
        return Ok(());
    };
    Err(Error::OutOfRange {
        topic: topic.to_owned(),
        partition,
        position,
        first: bounds.first,
        next: bounds.next,
        remedy,
    })
}
