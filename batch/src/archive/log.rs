//! The archive as an event log, for those who read a log: history that nobody can change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_log::{
    Appended, Bounds, Error as LogError, EventLog, JournalId, Membership, NewRecord, Reader, Sole,
    Topic,
};
use record::{Offset, Partition, Record};

use super::{Archive, Part, PartitionReader};
use crate::{Error, Extent};

/// Archived topics up to given ends, which never move; every other topic is `over`'s. Appending to an
/// archived topic is an error.
#[derive(Clone)]
pub struct Frozen {
    archive: Archive,
    topics: BTreeMap<String, Extent>,
    over: Arc<dyn EventLog>,
}

impl Frozen {
    /// A view of `topics` up to their extents, which the archive must hold.
    #[must_use]
    pub fn new(
        archive: Archive,
        topics: BTreeMap<String, Extent>,
        over: Arc<dyn EventLog>,
    ) -> Self {
        Self { archive, topics, over }
    }
}

#[async_trait]
impl EventLog for Frozen {
    async fn topic(&self, topic: &str) -> Result<Topic, LogError> {
        match self.topics.get(topic) {
            Some(extent) => Ok(Topic { log: extent.log, partitions: extent.ends.len() as u32 }),
            None => self.over.topic(topic).await,
        }
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, LogError> {
        if !self.topics.contains_key(topic) {
            return self.over.create(topic, partitions).await;
        }
        let found = self.topic(topic).await?;
        if found.partitions == partitions {
            return Ok(found);
        }
        let (topic, found) = (topic.to_owned(), found.partitions);
        Err(LogError::Partitions { topic, found, expected: partitions })
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, LogError>>, LogError> {
        if self.topics.contains_key(topic) {
            let reason = format!("topic {topic} is read from the archive, which takes no records");
            return Err(LogError::Unavailable { reason });
        }
        self.over.append_before(topic, records, journal).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, LogError> {
        match self.topics.get(topic) {
            Some(extent) => {
                let ends = extent.ends.iter();
                Ok(ends.map(|next| Bounds { first: Offset(0), next: *next }).collect())
            }
            None => self.over.bounds(topic).await,
        }
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let Some(extent) = self.topics.get(topic) else {
            return self.over.reader(topic, partition, from).await;
        };
        let topic = topic.to_owned();
        let Some(end) = extent.ends.get(partition.0 as usize).copied() else {
            let partitions = extent.ends.len() as u32;
            return Err(LogError::NoPartition { topic, partition, partitions });
        };
        if from > end {
            return Err(LogError::OutOfRange {
                topic,
                partition,
                position: from,
                first: Offset(0),
                next: end,
                remedy: "run `twofold archive`, then try again",
            });
        }
        let parts = self.archive.parts(&topic, extent.log, partition).map_err(|e| damaged(&e))?;
        let archived = parts.last().map_or(Offset(0), |part| part.next);
        if archived < end {
            let lost = Error::Lost { topic, partition, expected: archived, first: end };
            return Err(damaged(&lost));
        }
        Ok(Box::new(FrozenReader(ArchiveReader::new(partition, parts, from, end))))
    }

    /// Files do not change hands: whoever reads them has all of them.
    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(Sole::of(self, topics).await?))
    }
}

/// A partition's files as a log's reader takes them: from any offset, in any helping.
pub(super) struct ArchiveReader {
    records: PartitionReader,
    chunk: VecDeque<Record>,
    position: Offset,
    end: Offset,
}

impl ArchiveReader {
    /// Records of `from..end`; files before are not opened.
    pub(super) fn new(
        partition: Partition,
        mut parts: Vec<Part>,
        from: Offset,
        end: Offset,
    ) -> Self {
        parts.retain(|part| part.next > from);
        let records = PartitionReader::new(partition, parts, end);
        Self { records, chunk: VecDeque::new(), position: from, end }
    }

    /// The next records; none only at the end.
    pub(super) fn next(&mut self, records_max: usize) -> Result<Vec<Record>, LogError> {
        while self.chunk.is_empty() && self.position < self.end {
            match self.records.next_chunk().map_err(|error| damaged(&error))? {
                Some(chunk) => {
                    let unread = chunk.into_iter().filter(|record| record.offset >= self.position);
                    self.chunk.extend(unread);
                }
                // What is left up to the end is a gap.
                None => self.position = self.end,
            }
        }
        let taken = self.chunk.len().min(records_max);
        let records: Vec<Record> = self.chunk.drain(..taken).collect();
        if let Some(last) = records.last() {
            self.position = last.offset.next();
        }
        Ok(records)
    }

    pub(super) fn position(&self) -> Offset {
        self.position
    }
}

/// Stands at the end for ever once it is there.
struct FrozenReader(ArchiveReader);

#[async_trait]
impl Reader for FrozenReader {
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, LogError> {
        let records = self.0.next(records_max)?;
        if records.is_empty() {
            tokio::time::sleep(wait).await;
        }
        Ok(records)
    }

    fn position(&self) -> Offset {
        self.0.position()
    }
}

/// The text names the file and the remedy; trying again mends nothing.
pub(super) fn damaged(error: &Error) -> LogError {
    LogError::Damaged { at: error.to_string(), what: "the archive cannot be read as a log" }
}
