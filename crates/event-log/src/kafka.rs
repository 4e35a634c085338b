//! The log on Apache Kafka.
//!
//! A log is a topic and its id the topic's id. Appends go through one idempotent producer ([`writer`]),
//! reads through shared consumers that are assigned partitions and positions, never a group's
//! ([`consumers`], [`reader`]); both look again and again whether a topic still is the one it was
//! ([`identity`]). A group shares partitions out and nothing else ([`group`]): it holds no position that
//! anybody reads. A client that may have lost all its brokers is named the first ones again ([`lifeline`]).
//! Offsets have gaps: the records of aborted transactions and the marks that end transactions are not
//! handed out, but positions move past them.
//!
//! [`writer`]: self::writer
//! [`consumers`]: self::consumers
//! [`reader`]: self::reader
//! [`identity`]: self::identity
//! [`group`]: self::group
//! [`lifeline`]: self::lifeline

mod client;
mod consumers;
mod error;
mod group;
mod headers;
mod identity;
mod lifeline;
mod native;
mod offsets;
mod raw;
mod reader;
mod settings;
mod topic_settings;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::admin::AdminClient;
use record::{Offset, Partition};
use tokio::time::Instant;

use self::client::Context;
use self::consumers::Consumers;
use self::group::Member;
use self::identity::{Identities, Known};
pub use self::raw::RawRead;
use self::reader::{Ends, PartitionReader};
pub use self::settings::{Settings, TopicSettings};
pub use self::topic_settings::Finding;
use self::writer::Writer;
use crate::names::{check_topic, is_name};
use crate::{Appended, Bounds, Error, EventLog, JournalId, Membership, NewRecord, Reader, Topic};

/// How long after each look a topic that was just created is looked for again.
const CREATED_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// The log on Apache Kafka.
///
/// Needs a Tokio runtime, as its methods do. Dropping it gives up what is not acknowledged yet.
pub struct Kafka {
    settings: Settings,
    admin: Arc<AdminClient<Context>>,
    identities: Arc<Identities>,
    consumers: Arc<Consumers>,
    writer: Writer,
}

impl Kafka {
    /// A log on the brokers of the settings, which are not spoken to yet.
    ///
    /// # Errors
    /// [`Error::BadSetting`] names the setting that cannot be used.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let context = Context::new(&settings);
        let consumers = Arc::new(Consumers::new(&settings, &context)?);
        let admin = Arc::new(client::admin(&settings, context)?);
        let identities = Arc::new(Identities::new(Arc::clone(&admin), &settings));
        let writer = Writer::new(&settings)?;
        Ok(Self { settings, admin, identities, consumers, writer })
    }

    /// What is not as the log's promises ask of an existing topic, and how to mend it.
    ///
    /// # Errors
    /// [`Error::NoTopic`]; or when the brokers do not answer.
    pub async fn check(&self, topic: &str) -> Result<Vec<Finding>, Error> {
        self.identities.now(topic).await?;
        topic_settings::check(&self.admin, &self.settings, topic).await
    }

    async fn known(&self, topic: &str) -> Result<Arc<Known>, Error> {
        // No topic can be called that; Kafka would answer in other words.
        if !is_name(topic) {
            return Err(Error::NoTopic { topic: topic.to_owned() });
        }
        self.identities.get(topic).await
    }

    async fn bounds_of(&self, known: &Arc<Known>) -> Result<Vec<Bounds>, Error> {
        let (consumer, timeout) = (self.consumers.any(), self.settings.request_timeout());
        let topic = Arc::clone(known);
        error::blocking(&known.name, "asking for its offsets", move || {
            offsets::bounds(&consumer, &topic.name, 0..topic.topic.partitions, timeout)
        })
        .await
    }

    /// Waits until every partition of a topic that was just created has a leader.
    async fn created(&self, topic: &str) -> Result<Arc<Known>, Error> {
        let deadline = Instant::now() + self.settings.request_timeout();
        loop {
            let ready = async {
                let known = self.identities.get(topic).await?;
                self.bounds_of(&known).await.map(|_| known)
            };
            match ready.await {
                Ok(known) => return Ok(known),
                Err(Error::NoTopic { .. } | Error::Unavailable { .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(CREATED_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl EventLog for Kafka {
    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        if !is_name(topic) {
            return Err(Error::NoTopic { topic: topic.to_owned() });
        }
        Ok(self.identities.now(topic).await?.topic)
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        check_topic(topic, partitions)?;
        let found = match self.identities.look(topic).await {
            Ok(_) => self.identities.now(topic).await?.topic,
            Err(Error::NoTopic { .. }) => {
                // A broker that was asked too early may have it after all: then it is the one that was seen.
                if topic_settings::create(&self.admin, &self.settings, topic, partitions).await? {
                    self.identities.forget(topic);
                }
                self.identities.settle();
                self.created(topic).await?.topic
            }
            Err(error) => return Err(error),
        };
        if found.partitions != partitions {
            return Err(Error::Partitions {
                topic: topic.to_owned(),
                found: found.partitions,
                expected: partitions,
            });
        }
        Ok(found)
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        _: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let known = self.known(topic).await?;
        Ok(self.writer.append(&known, records).await)
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        let known = self.known(topic).await?;
        self.bounds_of(&known).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        let known = self.known(topic).await?;
        let partitions = known.topic.partitions;
        if partition.0 >= partitions {
            return Err(Error::NoPartition { topic: topic.to_owned(), partition, partitions });
        }
        let ends = Ends {
            consumers: Arc::clone(&self.consumers),
            known,
            partition,
            timeout: self.settings.request_timeout(),
        };
        let identities = Arc::clone(&self.identities);
        let stall_timeout = self.settings.stall_timeout();
        Ok(Box::new(PartitionReader::open(identities, ends, from, stall_timeout).await?))
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        for topic in topics {
            self.known(topic).await?;
        }
        Ok(Box::new(Member::join(&self.settings, topics)?))
    }
}
