//! Appends through one idempotent producer, with a bound on what is under way.
//!
//! A record that is acknowledged is in the log once, behind those that were sent before it to its
//! partition, for as long as this producer lives: the brokers know its retries by their numbers. A
//! record that gets an error may be there or not. librdkafka gives up a producer when it cannot keep
//! that promise (the brokers have lost its numbers); the next append then takes another one.

mod delivery;
mod sender;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::producer::{BaseRecord, Producer as _};
use record::{Partition, partition_for_key};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::error::{of, unavailable};
use super::headers;
use super::identity::Known;
use super::offsets::number;
use super::settings::Settings;
use crate::{Appended, Error, NewRecord, RECORD_BYTES_MAX};
use delivery::{Delivery, Group};
use sender::Sender;

/// Bytes that may be under way; appenders wait for room. Counted in [`PERMIT_BYTES`].
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// The least that a record takes of the queue, which bounds the number of records too.
const PERMIT_BYTES: usize = 1 << 10;
/// Records that are let in, and answered, together.
const GROUP_RECORDS_MAX: usize = 1024;
/// About the most bytes of them.
const GROUP_BYTES_MAX: usize = 1 << 20;
/// librdkafka answers for each record in time; this much later, it is not waited for any more.
const GRACE: Duration = Duration::from_secs(5);

type Outcome = Result<Appended, Error>;

/// The producer and the room before it.
pub(super) struct Writer {
    settings: Settings,
    sender: Mutex<Arc<Sender>>,
    room: Arc<Semaphore>,
    timeout: Duration,
}

impl Writer {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let settings = settings.clone();
        let sender = Mutex::new(Arc::new(Sender::new(&settings)?));
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX / PERMIT_BYTES));
        let timeout = settings.delivery_timeout();
        Ok(Self { settings, sender, room, timeout })
    }

    /// One outcome per record, in order.
    pub(super) async fn append(&self, known: &Known, records: Vec<NewRecord>) -> Vec<Outcome> {
        let deadline = Instant::now() + self.timeout;
        let mut sent = Vec::new();
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let (mut group, mut permits, mut bytes) = (Vec::new(), 0, 0);
            while group.len() < GROUP_RECORDS_MAX && bytes < GROUP_BYTES_MAX {
                let Some(record) = records.next() else { break };
                let record_bytes = record.key.len() + record.value.len();
                if record_bytes <= RECORD_BYTES_MAX {
                    permits += record_bytes / PERMIT_BYTES + 1;
                    bytes += record_bytes;
                }
                group.push(record);
            }
            let count = group.len();
            let answer = match self.room(known, permits, deadline).await {
                Ok(room) => self.send(known, group, room),
                Err(error) => Err(error),
            };
            sent.push((count, answer));
        }
        let mut outcomes = Vec::new();
        for (count, answer) in sent {
            match self.answer(known, answer, deadline + GRACE).await {
                Ok(answered) => outcomes.extend(answered),
                Err(error) => outcomes.extend(
                    (0..count).map(|_| Err(Error::Unavailable { reason: error.to_string() })),
                ),
            }
        }
        outcomes
    }

    async fn answer(
        &self,
        known: &Known,
        answer: Result<oneshot::Receiver<Vec<Outcome>>, Error>,
        deadline: Instant,
    ) -> Result<Vec<Outcome>, Error> {
        let missing = || unavailable(&known.name, "appending", "no answer in time");
        match timeout_at(deadline, answer?).await {
            Ok(Ok(outcomes)) => Ok(outcomes),
            Ok(Err(_)) | Err(_) => Err(missing()),
        }
    }

    async fn room(
        &self,
        known: &Known,
        permits: usize,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let permits = u32::try_from(permits).expect("a group is smaller than the queue");
        match timeout_at(deadline, Arc::clone(&self.room).acquire_many_owned(permits)).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_)) | Err(_) => {
                let why = "the queue is full of records that the brokers have not acknowledged";
                Err(unavailable(&known.name, "appending", why))
            }
        }
    }

    /// Hands a group to librdkafka, which copies it.
    fn send(
        &self,
        known: &Known,
        records: Vec<NewRecord>,
        room: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Vec<Outcome>>, Error> {
        let sender = self.sender()?;
        let (group, answer) = Group::new(&known.name, records.len(), room);
        for (index, record) in records.iter().enumerate() {
            let delivery = Box::new(Delivery { group: Arc::clone(&group), index });
            let bytes = record.key.len() + record.value.len();
            if bytes > RECORD_BYTES_MAX {
                let refused = Error::TooLarge { bytes, bytes_max: RECORD_BYTES_MAX };
                group.settle(index, Err(refused));
                continue;
            }
            let Partition(partition) = partition_for_key(&record.key, known.topic.partitions);
            let message = BaseRecord::with_opaque_to(&known.name, delivery)
                .partition(number(partition))
                .key(&record.key)
                .payload(&record.value);
            let message = match &record.trace {
                Some(trace) => message.headers(headers::of(trace)),
                None => message,
            };
            if let Err((error, _)) = sender.producer.send(message) {
                sender.producer.context().undelivered(&error);
                group.settle(index, Err(of(&known.name, "appending", &error)));
            }
        }
        Ok(answer)
    }

    /// The sender; another one if librdkafka has given its producer up.
    fn sender(&self) -> Result<Arc<Sender>, Error> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, reason)) = sender.fatal() {
            tracing::warn!(%code, reason, "kafka producer given up, taking another");
            *sender = Arc::new(Sender::new(&self.settings)?);
        }
        Ok(Arc::clone(&sender))
    }
}
