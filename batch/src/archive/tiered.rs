//! A live log whose beginning may be gone from it, but not from the archive.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_log::{
    Appended, Bounds, Error as LogError, EventLog, JournalId, Membership, NewRecord, Reader, Topic,
};
use record::{LogId, Offset, Partition, Record};

use super::log::{ArchiveReader, damaged};
use super::{Archive, Part};

/// A log read from the archive where its own retention has dropped records. An archive of another log
/// under the same topic's name is never read.
#[derive(Clone)]
pub struct Tiered {
    archive: Archive,
    log: Arc<dyn EventLog>,
}

impl Tiered {
    /// `log`, with `archive` beneath.
    #[must_use]
    pub fn new(archive: Archive, log: Arc<dyn EventLog>) -> Self {
        Self { archive, log }
    }

    /// The archive's files of a partition, as far as they join. What is missing after them is of no
    /// concern where the log still has it.
    fn parts(&self, topic: &str, log: LogId, partition: Partition) -> Result<Vec<Part>, LogError> {
        let listing = self.archive.listing(topic, log, partition).map_err(|e| damaged(&e))?;
        Ok(listing.whole().map_err(|e| damaged(&e))?.to_vec())
    }
}

/// Where files end that join.
fn end(parts: &[Part]) -> Offset {
    parts.last().map_or(Offset(0), |part| part.next)
}

#[async_trait]
impl EventLog for Tiered {
    async fn topic(&self, topic: &str) -> Result<Topic, LogError> {
        self.log.topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, LogError> {
        self.log.create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, LogError>>, LogError> {
        self.log.append_before(topic, records, journal).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, LogError> {
        let log = self.log.topic(topic).await?.log;
        let mut bounds = self.log.bounds(topic).await?;
        for (bounds, partition) in bounds.iter_mut().zip((0..).map(Partition)) {
            if bounds.first > Offset(0) && end(&self.parts(topic, log, partition)?) >= bounds.first
            {
                bounds.first = Offset(0);
            }
        }
        Ok(bounds)
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, LogError> {
        let bounds = self.log.bounds(topic).await?;
        let first = bounds.get(partition.0 as usize).map_or(Offset(0), |bounds| bounds.first);
        let log = self.log.topic(topic).await?.log;
        if from < first {
            let parts = self.parts(topic, log, partition)?;
            if end(&parts) >= first {
                return Ok(Box::new(TieredReader {
                    archive: ArchiveReader::new(partition, parts, from, first),
                    log: Arc::clone(&self.log),
                    live: None,
                    topic: topic.to_owned(),
                    partition,
                }));
            }
        }
        // There, or lost for both: the log says which.
        self.log.reader(topic, partition, from).await
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, LogError> {
        self.log.join(topics).await
    }
}

/// Reads the archive up to the log's first record, then the log.
struct TieredReader {
    archive: ArchiveReader,
    log: Arc<dyn EventLog>,
    live: Option<Box<dyn Reader>>,
    topic: String,
    partition: Partition,
}

#[async_trait]
impl Reader for TieredReader {
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, LogError> {
        let records = self.archive.next(records_max)?;
        if !records.is_empty() {
            return Ok(records);
        }
        let live = match &mut self.live {
            Some(live) => live,
            empty => {
                // What the log has dropped meanwhile is an error of its own, with its remedy: open again.
                let from = self.archive.position();
                empty.insert(self.log.reader(&self.topic, self.partition, from).await?)
            }
        };
        live.next(records_max, wait).await
    }

    fn position(&self) -> Offset {
        self.live.as_ref().map_or(self.archive.position(), |live| live.position())
    }
}
