//! Reads one partition from a position of its own.

mod drain;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use record::{Offset, Partition, Record};
use tokio::time::{Instant, timeout};

use super::consumers::{Claim, Consumers};
use super::error::{blocking, unavailable};
use super::identity::{Identities, Known};
use super::offsets;
use crate::{Bounds, Error, Reader};
pub(super) use drain::append_time_missing;
use watchdog::Watchdog;

/// The longest sleep between two looks at what else could have happened.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Reads one partition.
pub(super) struct PartitionReader {
    pub(super) identities: Arc<Identities>,
    pub(super) ends: Ends,
    pub(super) claim: Claim,
    pub(super) position: Offset,
    /// Taken from the queue but not handed out yet: a call was dropped in between.
    held: Vec<Record>,
    /// When `held` was taken.
    taken_at: Instant,
    /// What came instead of a record, until it is explained.
    fault: Option<Fault>,
    watchdog: Watchdog,
}

/// What can come instead of a record. All but the first last as long as the reader.
#[derive(Debug, Clone)]
enum Fault {
    /// librdkafka's words for something that may pass.
    Passing(KafkaError),
    /// The position is not in the log: librdkafka has stopped to fetch.
    Outside,
    /// A record without the log's own append time.
    NoAppendTime,
    /// Bytes that cannot be read, and in what way. librdkafka goes on behind them; the reader does not.
    Damaged(&'static str),
}

/// Asks what a partition holds.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) consumers: Arc<Consumers>,
    pub(super) known: Arc<Known>,
    pub(super) partition: Partition,
    pub(super) timeout: Duration,
}

impl Ends {
    pub(super) async fn ask(&self) -> Result<Bounds, Error> {
        let this = self.clone();
        blocking(&self.known.name, "asking for its offsets", move || {
            let consumer = this.consumers.any();
            let one = std::iter::once(this.partition.0);
            Ok(offsets::bounds(&consumer, &this.known.name, one, this.timeout)?[0])
        })
        .await
    }
}

impl PartitionReader {
    pub(super) async fn open(
        identities: Arc<Identities>,
        ends: Ends,
        from: Offset,
        stall_timeout: Duration,
    ) -> Result<Self, Error> {
        let (topic, partition) = (ends.known.name.clone(), ends.partition);
        offsets::check_range(&topic, partition, from, ends.ask().await?)?;
        let consumers = Arc::clone(&ends.consumers);
        let claim = blocking(&topic.clone(), "starting to read", move || {
            consumers.claim(&topic, partition, from)
        })
        .await?;
        Ok(Self {
            identities,
            ends,
            claim,
            position: from,
            held: Vec::new(),
            taken_at: Instant::now(),
            fault: None,
            watchdog: Watchdog::new(stall_timeout),
        })
    }

    /// Hands out what is held, once it is sure which log it came from.
    async fn hand_out(&mut self, records_max: usize) -> Result<Vec<Record>, Error> {
        self.identities.confirm(&self.ends.known, self.taken_at).await?;
        let found = if self.held.len() > records_max {
            self.held.drain(..records_max).collect()
        } else {
            std::mem::take(&mut self.held)
        };
        if let Some(last) = found.last() {
            self.claim.lifeline().found();
            self.position = last.offset.next();
        }
        self.watchdog.progress();
        Ok(found)
    }

    /// Says what a fault means.
    async fn explain(&self, fault: Fault) -> Error {
        use RDKafkaErrorCode as Code;
        let topic = &self.ends.known.name;
        match fault {
            Fault::NoAppendTime => drain::append_time_missing(topic),
            Fault::Damaged(what) => Error::Damaged {
                at: format!(
                    "topic {topic}, partition {}, offset {} or soon after it",
                    self.ends.partition, self.position
                ),
                what,
            },
            Fault::Outside => self.outside().await.err().unwrap_or_else(|| {
                unavailable(topic, "reading", "the position is inside the log again")
            }),
            Fault::Passing(error) => {
                if let Some(
                    Code::UnknownTopicOrPartition
                    | Code::UnknownTopic
                    | Code::UnknownPartition
                    | Code::UnknownTopicId,
                ) = error.rdkafka_error_code()
                    && let Err(changed) = self.identities.now(topic).await
                {
                    return changed;
                }
                let at = format!("reading partition {} at {}", self.ends.partition, self.position);
                unavailable(topic, &at, error)
            }
        }
    }

    async fn outside(&self) -> Result<(), Error> {
        let known = &self.ends.known;
        // Another log's bounds would explain nothing.
        self.identities.now(&known.name).await?;
        let bounds = self.ends.ask().await?;
        offsets::check_range(&known.name, self.ends.partition, self.position, bounds)?;
        // Inside by now: it was cut there and has grown again, so what was read may be gone.
        Err(Error::OutOfRange {
            topic: known.name.clone(),
            partition: self.ends.partition,
            position: self.position,
            first: bounds.first,
            next: bounds.next,
            remedy: "the broker refused the position though it is inside now, so the log was cut \
                     and has grown again: bootstrap the state from this log",
        })
    }
}

#[async_trait]
impl Reader for PartitionReader {
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, Error> {
        if records_max == 0 {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        loop {
            self.claim.check()?;
            if self.held.is_empty() {
                self.drain(records_max);
            }
            if !self.held.is_empty() {
                return self.hand_out(records_max).await;
            }
            if let Some(fault) = self.fault.clone() {
                let error = self.explain(fault).await;
                // After the wait: a call that is dropped in it leaves the fault to the next one.
                self.fault.take_if(|fault| matches!(fault, Fault::Passing(_)));
                return Err(error);
            }
            self.cover_gap()?;
            self.identities.refresh(&self.ends.known)?;
            if let Err(stalled) = self.watchdog.look(&self.ends, self.position) {
                self.claim.lifeline().lost();
                return Err(stalled);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            // Over or not, the queue is looked at again.
            let _ = timeout(left.min(SLEEP_MAX), self.claim.arrived.notified()).await;
        }
    }

    fn position(&self) -> Offset {
        self.position
    }
}
