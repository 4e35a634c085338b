//! The consumers that readers share.
//!
//! librdkafka fetches all partitions that a consumer holds with one request per broker, so readers
//! share one as long as they read different partitions; two readers of one partition need two. Each
//! partition has its own queue, bounded by librdkafka, which a reader empties; what concerns the
//! consumer as a whole is polled by a thread of its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset as At, TopicPartitionList};
use record::{Offset, Partition};
use tokio::sync::Notify;

use super::client::{self, Context, create};
use super::error::{of, unavailable};
use super::lifeline::Lifeline;
use super::offsets::number;
use super::settings::Settings;
use crate::Error;

/// The most consumers of a log, which is the most readers of one partition.
const CONSUMERS_MAX: usize = 32;
/// How long the polling thread sleeps in librdkafka when nothing happens.
const POLL: Duration = Duration::from_millis(200);
/// How often it is asked whether reading has begun, and how long after each time.
const START_LOOKS: u32 = 2_000;
const START_PAUSE: Duration = Duration::from_millis(1);

/// All consumers of a log; there is always one.
pub(super) struct Consumers {
    settings: Settings,
    context: Context,
    members: Mutex<Vec<Arc<Member>>>,
}

/// One consumer.
struct Member {
    consumer: Arc<BaseConsumer<Context>>,
    /// Topics and partitions that readers read with it.
    taken: Mutex<HashSet<(String, Partition)>>,
    thread: Arc<PollingThread>,
}

#[derive(Default)]
struct PollingThread {
    stop: AtomicBool,
    /// A record came that no reader's queue took. It would be lost, so readers fail.
    strayed: AtomicBool,
}

/// A partition that a reader reads.
pub(super) struct Claim {
    member: Arc<Member>,
    pub(super) queue: PartitionQueue<Context>,
    /// Something was put into the empty queue.
    pub(super) arrived: Arc<Notify>,
    topic: String,
    partition: Partition,
}

impl Consumers {
    /// `context` is one of the log's.
    pub(super) fn new(settings: &Settings, context: &Context) -> Result<Self, Error> {
        let (settings, context) = (settings.clone(), context.clone());
        let first = Member::new(&settings, &context)?;
        Ok(Self { settings, context, members: Mutex::new(vec![first]) })
    }

    /// A consumer for questions.
    pub(super) fn any(&self) -> Arc<BaseConsumer<Context>> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&members[0].consumer)
    }

    /// Starts to read a partition from `from` on.
    pub(super) fn claim(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Claim, Error> {
        let member = self.member(topic, partition)?;
        let what = "starting to read";
        let failed = |error| {
            member.give_back(topic, partition);
            of(topic, what, &error)
        };
        // The queue before the assignment: a record that came in between would go elsewhere.
        let Some(mut queue) = member.consumer.split_partition_queue(topic, number(partition.0))
        else {
            member.give_back(topic, partition);
            return Err(unavailable(topic, what, "no queue"));
        };
        let arrived = Arc::new(Notify::new());
        let notify = Arc::clone(&arrived);
        queue.set_nonempty_callback(move || notify.notify_one());
        let offset = At::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, number(partition.0), offset).map_err(failed)?;
        member.consumer.incremental_assign(&list).map_err(failed)?;
        let claim = Claim { member, queue, arrived, topic: topic.to_owned(), partition };
        claim.wait_for_start()?;
        Ok(claim)
    }

    /// A consumer that nobody reads this partition with, taken for it.
    fn member(&self, topic: &str, partition: Partition) -> Result<Arc<Member>, Error> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(free) = members.iter().find(|member| member.take(topic, partition)) {
            return Ok(Arc::clone(free));
        }
        // What readers no longer use makes room; the first one always stays.
        let mut nth = 0;
        members.retain(|member| {
            nth += 1;
            nth == 1 || !member.is_idle()
        });
        if members.len() >= CONSUMERS_MAX {
            let why = format!("{CONSUMERS_MAX} readers read partition {partition} already");
            return Err(unavailable(topic, "starting to read", why));
        }
        let member = Member::new(&self.settings, &self.context)?;
        member.take(topic, partition);
        members.push(Arc::clone(&member));
        Ok(member)
    }
}

impl Member {
    fn new(settings: &Settings, context: &Context) -> Result<Arc<Self>, Error> {
        let context = context.another(settings);
        let consumer = create(&client::consumer(settings), context)?;
        let consumer = Arc::<BaseConsumer<Context>>::new(consumer);
        let thread = Arc::new(PollingThread::default());
        let (polled, flags) = (Arc::clone(&consumer), Arc::clone(&thread));
        std::thread::Builder::new()
            .name("kafka-consumer".to_owned())
            .spawn(move || poll(&polled, &flags))
            .map_err(|error| Error::Unavailable { reason: format!("no kafka thread: {error}") })?;
        Ok(Arc::new(Self { consumer, taken: Mutex::default(), thread }))
    }

    fn take(&self, topic: &str, partition: Partition) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert((topic.to_owned(), partition))
    }

    fn give_back(&self, topic: &str, partition: Partition) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&(topic.to_owned(), partition));
    }

    fn is_idle(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The thread has the last reference and closes the consumer.
        self.thread.stop.store(true, Ordering::Relaxed);
    }
}

fn poll(consumer: &BaseConsumer<Context>, thread: &PollingThread) {
    while !thread.stop.load(Ordering::Relaxed) {
        consumer.context().lifeline.throw(consumer.client());
        match consumer.poll(POLL) {
            // Of errors the client's context was told.
            None | Some(Err(_)) => {}
            Some(Ok(message)) => {
                let (topic, partition) = (message.topic(), message.partition());
                tracing::error!(topic, partition, "a record came past its reader's queue");
                thread.strayed.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Claim {
    /// A reader before this one may have left its position with the consumer, which forgets it as
    /// soon as that reading has ended; nothing of the new one is taken from the queue before.
    fn wait_for_start(&self) -> Result<(), Error> {
        for _ in 0..START_LOOKS {
            if self.position()?.is_none() {
                return Ok(());
            }
            std::thread::sleep(START_PAUSE);
        }
        Err(unavailable(&self.topic, "starting to read", "its last reader has not ended"))
    }

    /// The next offset after what was taken from the queue, records or not; `None` before anything
    /// was.
    pub(super) fn position(&self) -> Result<Option<Offset>, Error> {
        let what = "asking for the position";
        let list =
            self.member.consumer.position().map_err(|error| of(&self.topic, what, &error))?;
        let found = list.find_partition(&self.topic, number(self.partition.0));
        Ok(found.and_then(|element| match element.offset() {
            At::Offset(offset) if offset >= 0 => Some(Offset(offset as u64)),
            _ => None,
        }))
    }

    /// Whether the consumer has lost its brokers, as far as this reader can say.
    pub(super) fn lifeline(&self) -> &Lifeline {
        &self.member.consumer.context().lifeline
    }

    /// # Errors
    /// When a record may have been lost on its way.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.member.thread.strayed.load(Ordering::Relaxed) {
            let why = "a record came past its queue; open another reader";
            return Err(unavailable(&self.topic, "reading", why));
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, number(self.partition.0));
        if let Err(error) = self.member.consumer.incremental_unassign(&list) {
            tracing::warn!(topic = self.topic, %error, "giving a partition back");
        }
        self.member.give_back(&self.topic, self.partition);
    }
}
