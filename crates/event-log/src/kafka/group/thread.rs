//! The thread that polls a member's consumer.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::Offset as At;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::mpsc;

use super::rebalance::{self, Context};
use super::{Orders, lock};
use crate::kafka::settings::Settings;
use crate::{Change, Error, Share};

/// How long the thread sleeps in librdkafka when nothing happens, and so how late it may be with what it is
/// told.
const POLL: Duration = Duration::from_millis(50);
/// Polls that bring nothing before it is thought that no broker is known.
const POLLS_LOST: u128 = 200;

pub(super) struct Thread {
    group: String,
    topics: Vec<String>,
    consumer: BaseConsumer<Context>,
    orders: Arc<Mutex<Orders>>,
    tell: mpsc::Sender<Result<Change, Error>>,
    /// What is to be released before the group is answered; it is answered for all of it at once.
    revoked: Option<Revoked>,
    joined: bool,
    /// Polls that brought nothing before the group had taken the member in, and how many may. Counted, not
    /// timed: a process that was stopped in between has not waited.
    polls: u128,
    polls_max: u128,
    /// What librdkafka complained of last.
    complaint: Option<KafkaError>,
}

struct Revoked {
    all: Vec<Share>,
    left: BTreeSet<Share>,
}

/// That this process is no member of the group.
pub(super) fn failed(group: &str, why: &str) -> Error {
    Error::Unavailable { reason: format!("kafka group {group}: {why}") }
}

impl Thread {
    pub(super) fn new(
        settings: &Settings,
        topics: &[&str],
        consumer: BaseConsumer<Context>,
        orders: Arc<Mutex<Orders>>,
        tell: mpsc::Sender<Result<Change, Error>>,
    ) -> Self {
        Self {
            group: settings.group.clone(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            consumer,
            orders,
            tell,
            revoked: None,
            joined: false,
            polls: 0,
            polls_max: settings.join_limit().as_millis() / POLL.as_millis(),
            complaint: None,
        }
    }

    /// Polls until it is told to leave, then leaves: its consumer says goodbye when it is dropped.
    pub(super) fn run(mut self) {
        if let Err(error) = self.work() {
            tracing::error!(%error, "no member of the group any more");
            // Nobody listens any more where this cannot be told.
            let _ = self.tell.blocking_send(Err(error));
        }
        // The last hint came with the order to leave.
        self.hint();
        self.consumer.context().rebalances.leaving.store(true, Ordering::Relaxed);
        if let Some(revoked) = self.revoked.take()
            && let Err(error) = rebalance::give_back(&self.consumer, &revoked.all)
        {
            tracing::warn!(%error, group = self.group, "leaving a group");
        }
    }

    fn work(&mut self) -> Result<(), Error> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let subscribed = self.consumer.subscribe(&topics);
        subscribed.map_err(|error| self.failed(&error))?;
        while !lock(&self.orders).leave {
            self.poll()?;
            while let Some(change) = self.consumer.context().rebalances.heard() {
                let change = change.map_err(|error| self.failed(&error))?;
                self.hear(&change);
                // Waits for room: an updater that takes nothing must not keep its shares.
                if self.tell.blocking_send(Ok(change)).is_err() {
                    return Ok(());
                }
            }
            self.release().map_err(|error| self.failed(&error))?;
            self.hint();
        }
        Ok(())
    }

    fn failed(&self, error: &KafkaError) -> Error {
        failed(&self.group, &error.to_string())
    }

    fn poll(&mut self) -> Result<(), Error> {
        self.consumer.context().lifeline.throw(self.consumer.client());
        match self.consumer.poll(POLL) {
            None if self.joined => {}
            None => {
                self.polls += 1;
                if self.polls.is_multiple_of(POLLS_LOST) {
                    self.consumer.context().lifeline.lost();
                }
                if self.polls > self.polls_max {
                    let waited_ms = self.polls_max * POLL.as_millis();
                    let why = match &self.complaint {
                        Some(complaint) => complaint.to_string(),
                        None => "the brokers say nothing about it".to_owned(),
                    };
                    let why = format!("it did not take this process in for {waited_ms} ms: {why}");
                    return Err(failed(&self.group, &why));
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                return Err(self.failed(&error));
            }
            // The client's context was told of it.
            Some(Err(error)) => self.complaint = Some(error),
            // It came before its partition was paused; readers read it.
            Some(Ok(_)) => {}
        }
        Ok(())
    }

    fn hear(&mut self, change: &Change) {
        tracing::info!(group = self.group, ?change, "partitions change hands");
        match change {
            Change::Assigned(_) => {
                self.consumer.context().lifeline.found();
                (self.joined, self.polls, self.complaint) = (true, 0, None);
            }
            Change::Lost(_) => self.joined = false,
            Change::Revoked(shares) => {
                let left = shares.iter().cloned().collect();
                self.revoked = Some(Revoked { all: shares.clone(), left });
            }
        }
    }

    /// Answers the group when all that it revoked is released.
    fn release(&mut self) -> KafkaResult<()> {
        let released = std::mem::take(&mut lock(&self.orders).released);
        if let Some(revoked) = &mut self.revoked {
            revoked.left.retain(|share| !released.contains(share));
            if revoked.left.is_empty() {
                rebalance::give_back(&self.consumer, &revoked.all)?;
                self.revoked = None;
            }
        }
        Ok(())
    }

    /// Passes on how far shares are covered.
    fn hint(&self) {
        let covered = std::mem::take(&mut lock(&self.orders).covered);
        if covered.is_empty() {
            return;
        }
        let offset = |next: u64| At::Offset(i64::try_from(next).unwrap_or(i64::MAX));
        let list = rebalance::list(covered.iter().map(|(share, next)| (share, offset(next.0))));
        if let Err(error) = list.and_then(|list| self.consumer.commit(&list, CommitMode::Async)) {
            self.consumer.context().hint_failed(&error);
        }
    }
}
