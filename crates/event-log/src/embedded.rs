//! The log in the data directory's embedded database.
//!
//! One thread writes: it takes what has come in the meantime as one group, writes it with one batch,
//! syncs once, and only then shows it to readers and answers. So no reader sees a record that a
//! power failure could take back. Who appends before a write to the same journal
//! ([`EventLog::append_before`]) is answered before the sync. Offsets are dense from 0. The append time is the greater of the
//! clock and the partition's last append time: a clock that is set back does not move the log's.

mod ends;
pub use ends::check_without_database;
mod layout;
mod reader;
mod topics;
mod writer;

use std::sync::Arc;

use ::embedded::{Database, JournalId, Role, SyncMode};
use async_trait::async_trait;
use record::{AppendTime, Offset, Partition, partition_for_key};

use crate::names::check_topic;
use crate::{
    Appended, Bounds, Error, EventLog, Membership, NewRecord, RECORD_BYTES_MAX, Reader, Sole, Topic,
};
use ends::LastEnds;
use topics::{TopicState, Topics};
use writer::{Answered, Writer};

/// Reads the time of an append.
pub type Clock = Arc<dyn Fn() -> AppendTime + Send + Sync>;
/// Draws the identity of a new topic's log; must never draw the same twice.
pub type Entropy = Arc<dyn Fn() -> [u8; 16] + Send + Sync>;

/// What the log cannot know by itself.
#[derive(Clone)]
pub struct Settings {
    /// The log's clock.
    pub clock: Clock,
    /// Where the ids of new topics come from.
    pub entropy: Entropy,
}

/// The log in the data directory's embedded database.
///
/// Dropping it waits until all that was queued is written.
pub struct Embedded {
    topics: Arc<Topics>,
    // Before the role: the thread has ended when another log may be opened.
    writer: Writer,
    _role: Role,
}

impl Embedded {
    /// Opens the log of a database; one at a time, because its writer counts the offsets.
    ///
    /// # Errors
    /// When it is open already; when what is stored cannot be read; [`Error::Lost`].
    pub fn open(database: &Database, settings: Settings) -> Result<Self, Error> {
        let role = database.role("event log")?;
        let topics = Arc::new(Topics::open(database)?);
        let ends = LastEnds::check(&topics)?;
        let writer = Writer::start(Arc::clone(&topics), ends, settings)?;
        Ok(Self { topics, writer, _role: role })
    }

    /// Removes a topic with all its records; one created under its name is another log.
    ///
    /// # Errors
    /// [`Error::NoTopic`]; or when the database cannot do it.
    pub async fn delete(&self, topic: &str) -> Result<(), Error> {
        self.writer.delete(topic).await
    }

    fn partition(&self, topic: &str, partition: Partition) -> Result<Arc<TopicState>, Error> {
        let state = self.topics.get(topic)?;
        let partitions = state.topic.partitions;
        if partition.0 >= partitions {
            return Err(Error::NoPartition { topic: topic.to_owned(), partition, partitions });
        }
        Ok(state)
    }
}

#[async_trait]
impl EventLog for Embedded {
    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        Ok(self.topics.get(topic)?.topic)
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        check_topic(topic, partitions)?;
        let found = match self.topics.get(topic) {
            Ok(state) => state.topic,
            Err(Error::NoTopic { .. }) => self.writer.create(topic, partitions).await?,
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
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let database = &self.topics.database;
        let is_ours = journal == Some(database.journal());
        let answered = match is_ours && database.sync_mode() == SyncMode::Always {
            true => Answered::Written,
            false => Answered::Durable,
        };
        let state = self.topics.get(topic)?;
        let mut outcomes = Vec::with_capacity(records.len());
        let mut accepted = Vec::with_capacity(records.len());
        for record in records {
            let bytes = record.key.len() + record.value.len();
            if bytes > RECORD_BYTES_MAX {
                outcomes.push(Some(Err(Error::TooLarge { bytes, bytes_max: RECORD_BYTES_MAX })));
            } else {
                outcomes.push(None);
                accepted.push((partition_for_key(&record.key, state.topic.partitions), record));
            }
        }
        let mut appended = self.writer.append(&state, accepted, answered).await.into_iter();
        Ok(outcomes
            .into_iter()
            .map(|outcome| {
                outcome.unwrap_or_else(|| {
                    appended.next().expect("the writer answers for each record it was given")
                })
            })
            .collect())
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        Ok(self.topics.get(topic)?.bounds())
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        let state = self.partition(topic, partition)?;
        Ok(Box::new(reader::PartitionReader::open(&self.topics, &state, partition, from)?))
    }

    /// A data directory has one owner process, which has every partition.
    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(Sole::of(self, topics).await?))
    }
}
