//! What the group says, as librdkafka tells it within a poll.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as At, TopicPartitionList};
use record::Partition;

use super::super::client::{self, Teller};
use super::super::lifeline::Lifeline;
use super::super::offsets;
use crate::{Change, Share};

/// What was said and not passed on yet, and how it is to be answered.
#[derive(Debug, Default)]
pub(super) struct Rebalances {
    said: Mutex<VecDeque<KafkaResult<Change>>>,
    /// The member leaves: whatever is taken from it, nobody works on it any more.
    pub(super) leaving: AtomicBool,
    pub(super) hints_failed: AtomicU64,
    teller: Teller,
}

/// Passes librdkafka's lines on, and keeps what the group says.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) rebalances: Arc<Rebalances>,
    pub(super) lifeline: Arc<Lifeline>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.rebalances.teller.tell("member of the group", &error, reason);
        self.lifeline.complained(&error);
    }
}

impl Context {
    pub(super) fn hint_failed(&self, error: &KafkaError) {
        self.rebalances.hints_failed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, "the group was not told how far its shares are covered");
    }
}

impl Rebalances {
    fn say(&self, change: KafkaResult<Change>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }

    /// What was said first; an error where it could not be answered, so that the group waits for ever.
    pub(super) fn heard(&self) -> Option<KafkaResult<Change>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl ConsumerContext for Context {
    /// Takes what is assigned at once, and gives back at once what is lost; what is revoked stays until the
    /// updater has released it. Until then librdkafka goes on sending heartbeats.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let shares = shares(list);
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.rebalances.say(take(consumer, &shares).map(|()| Change::Assigned(shares)));
            }
            _ if consumer.assignment_lost() => {
                self.rebalances.say(give_back(consumer, &shares).map(|()| Change::Lost(shares)));
            }
            _ if self.rebalances.leaving.load(Ordering::Relaxed) => {
                if let Err(error) = give_back(consumer, &shares) {
                    tracing::warn!(%error, "leaving a group");
                }
            }
            _ => self.rebalances.say(Ok(Change::Revoked(shares))),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            self.hint_failed(&error);
        }
    }
}

/// Holds shares without reading them.
fn take(consumer: &BaseConsumer<Context>, shares: &[Share]) -> KafkaResult<()> {
    let list = list(shares.iter().map(|share| (share, At::End)))?;
    consumer.incremental_assign(&list)?;
    consumer.pause(&list)
}

/// Holds them no more, which answers the group.
pub(super) fn give_back(consumer: &BaseConsumer<Context>, shares: &[Share]) -> KafkaResult<()> {
    consumer.incremental_unassign(&list(shares.iter().map(|share| (share, At::Invalid)))?)
}

/// Shares as librdkafka lists them; an offset that no log has is refused.
pub(super) fn list<'a>(
    shares: impl Iterator<Item = (&'a Share, At)>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (share, at) in shares {
        list.add_partition_offset(&share.topic, offsets::number(share.partition.0), at)?;
    }
    Ok(list)
}

fn shares(list: &TopicPartitionList) -> Vec<Share> {
    let share = |topic: &str, partition: i32| Share {
        topic: topic.into(),
        partition: Partition(partition.unsigned_abs()),
    };
    list.elements().iter().map(|element| share(element.topic(), element.partition())).collect()
}
