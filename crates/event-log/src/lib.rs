//! The event log: a port and its two adapters, [`Embedded`] in the data directory and [`Kafka`] on
//! Apache Kafka.
//!
//! A crate of its own because nobody else may know which log is behind the port. It never decodes a
//! payload. Both adapters pass the same [`conformance`] suite, and the port promises only what both
//! can give: per-partition order, offsets that rise (with gaps), the log's own append time, an append
//! that is durable once acknowledged, and a log id that is born with the topic. Processes that work on one
//! log share its partitions out among themselves ([`Membership`]); positions are not the log's to keep.
//!
//! Start with [`EventLog`].

pub mod conformance;
mod embedded;
pub mod kafka;
mod membership;
mod names;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use record::{AppendTime, LogId, Offset, Partition, Record, Trace};

pub use ::embedded::JournalId;

pub use crate::embedded::{Clock, Embedded, Entropy, Settings, check_without_database};
pub use crate::kafka::Kafka;
pub use crate::membership::{Change, Membership, Share, Sole};

/// The largest record that any log takes, key and value together, in bytes. An adapter refuses more
/// by itself, so that a record that went into one log goes into the other.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// About the most bytes of records that one call of a [`Reader`] gives: a call that has given as many may have left
/// more behind.
pub const READ_BYTES_MAX: usize = 4 << 20;

/// A topic as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Identity, born with the topic.
    pub log: LogId,
    /// Number of partitions, fixed.
    pub partitions: u32,
}

/// A record to append; its partition is the partitioner's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Stream key.
    pub key: Vec<u8>,
    /// Payload.
    pub value: Vec<u8>,
    /// The request that it comes from. Readers get it back with the record; it counts to no limit of sizes, being
    /// less than a kilobyte.
    pub trace: Option<Box<Trace>>,
}

/// Where a record went, once it is durable, or stands in the journal ([`EventLog::append_before`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Partition.
    pub partition: Partition,
    /// Offset of the record itself.
    pub offset: Offset,
    /// The log's clock.
    pub append_time: AppendTime,
}

/// What a partition holds: offsets `first..next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// First offset that is still there.
    pub first: Offset,
    /// Offset of the next record to come.
    pub next: Offset,
}

/// Why the log could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such topic, as far as whoever keeps the log can be sure of it.
    #[error("no topic {topic}: create it with `twofold topics create`")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// There is no such partition.
    #[error("topic {topic} has no partition {partition}: it has {partitions}")]
    NoPartition {
        /// Topic.
        topic: String,
        /// What was asked for.
        partition: Partition,
        /// What there is.
        partitions: u32,
    },
    /// A topic cannot be called that, or cannot have that many partitions.
    #[error("topic {topic:?} with {partitions} partitions: {expected}")]
    BadTopic {
        /// Its name.
        topic: String,
        /// Number of partitions.
        partitions: u32,
        /// What would do.
        expected: &'static str,
    },
    /// The topic exists with another number of partitions.
    #[error(
        "topic {topic} has {found} partitions, not {expected}: the number is fixed; use a new topic and bootstrap"
    )]
    Partitions {
        /// Topic.
        topic: String,
        /// What there is.
        found: u32,
        /// What was asked for.
        expected: u32,
    },
    /// The topic was deleted and created again while this log was open: it is another log.
    #[error(
        "topic {topic} is another log now ({found}, was {expected}): it was deleted and created \
         again; restart, and if it is a source's topic, move its archive away and remove the lanes that were \
         built from the old one (`twofold lanes remove ID`)"
    )]
    Recreated {
        /// Topic.
        topic: String,
        /// The log that was here.
        expected: LogId,
        /// The log that is here now.
        found: LogId,
    },
    /// The topic has a setting that the log's promises do not survive.
    #[error("topic {topic} has {found}, not {expected}: {remedy}")]
    Unfit {
        /// Topic.
        topic: String,
        /// The setting as it is.
        found: String,
        /// The setting as it has to be.
        expected: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A setting of the adapter cannot be used.
    #[error("log setting {key}: {reason}")]
    BadSetting {
        /// Its name.
        key: String,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The reader's position is not in the log any more, or not yet.
    #[error(
        "topic {topic} partition {partition}: position {position} is outside {first}..={next}: {remedy}"
    )]
    OutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: Partition,
        /// What was asked for.
        position: Offset,
        /// First offset there.
        first: Offset,
        /// Next offset to come.
        next: Offset,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A record is larger than the log takes.
    #[error("record of {bytes} bytes, the log takes {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// What is stored cannot be read.
    #[error("event log holds damaged bytes at {at}: {what}")]
    Damaged {
        /// Where.
        at: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The log holds less than it did when it was open last.
    #[error(
        "the event log has lost records: {what}, which it had when it was open last ({path}): its \
         database was damaged, or replaced by an older one; restore the whole data directory, or, to give up \
         what is gone, remove that file"
    )]
    Lost {
        /// Which of them.
        what: String,
        /// Where it says what there was.
        path: PathBuf,
    },
    /// Not done; trying again may help.
    #[error("event log unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The embedded database failed.
    #[error(transparent)]
    Embedded(#[from] ::embedded::Error),
}

/// The log. All methods may be called from many tasks at once.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The topic, as it exists.
    async fn topic(&self, topic: &str) -> Result<Topic, Error>;

    /// Creates a topic, or returns it if it exists with as many partitions.
    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error>;

    /// The topic, created if it is missing. One that exists with another number of partitions is left as it
    /// is.
    async fn ensure(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        match self.create(topic, partitions).await {
            Err(Error::Partitions { .. }) => self.topic(topic).await,
            found => found,
        }
    }

    /// Appends records, durable when it returns; one outcome per record, in order. A record whose
    /// outcome is an error may still turn up in the log (as with any log): retry under its event id.
    async fn append(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.append_before(topic, records, None).await
    }

    /// As [`EventLog::append`], for records that must outlive nothing but what is written to `journal` after
    /// this returned: a log that writes to that very journal itself need not wait for the disk then. Readers
    /// may see the records a little later than that. Without a journal, and with another one, they are durable
    /// when it returns.
    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error>;

    /// What each partition holds, by partition. A record at an offset before `next` may be read; none
    /// at or after it can have been.
    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error>;

    /// A reader of one partition from `from` on.
    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error>;

    /// Makes this process a member of the group that shares these topics' partitions out, by whatever name
    /// the adapter's settings give it. Reading takes no membership, and being a member reads nothing.
    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error>;
}

/// Reads one partition in order.
#[async_trait]
pub trait Reader: Send {
    /// The next records: at most `records_max` (and about [`READ_BYTES_MAX`]); empty when none came within `wait`,
    /// which does not mean that there are none: a log on the network may be slower than that. A call
    /// that is dropped loses nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there are records but none came for long, by the adapter's
    /// settings: to call again is to wait again. No error moves the position: records that cannot be read are
    /// never passed over.
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, Error>;

    /// Offset that the next call starts at. It moves past offsets that hold no record for a reader
    /// (Kafka leaves such gaps, at the end of a partition too), so whoever reads up to a `next` of
    /// [`EventLog::bounds`] calls [`Reader::next`] until the position has reached it.
    fn position(&self) -> Offset;
}
