use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ::embedded::Database;
use async_trait::async_trait;
use fjall::Keyspace;
use record::{Offset, Partition, Record};
use tokio::sync::watch;
use tokio::time::timeout;

use super::layout;
use super::topics::{Tail, TopicState, Topics};
use crate::{Error, READ_BYTES_MAX, Reader};

/// Who is no further behind reads where the caller stands: what was written last is nearly always in memory, and a
/// change of threads takes longer than that where processors are busy.
const RECORDS_INLINE_MAX: u64 = 1024;

/// Reads one partition up to what is durable.
pub(super) struct PartitionReader {
    database: Database,
    records: Keyspace,
    topic: Arc<TopicState>,
    partition: Partition,
    position: Offset,
    /// From the position on: what is left of a block whose other records were handed out.
    held: VecDeque<Record>,
    /// Whether a block begins at the position, once nothing is held: not so after an opening.
    at_block: bool,
    tail: watch::Receiver<Tail>,
}

impl PartitionReader {
    pub(super) fn open(
        topics: &Topics,
        topic: &Arc<TopicState>,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, Error> {
        let tail = topic.tail(partition).subscribe();
        let next = tail.borrow().next;
        if from > next {
            return Err(Error::OutOfRange {
                topic: topic.name.clone(),
                partition,
                position: from,
                first: Offset(0),
                next,
                remedy: "the position is ahead of the log, so it belongs to another one or the log \
                         was restored from an older copy: bootstrap the state from this log",
            });
        }
        Ok(Self {
            database: topics.database.clone(),
            records: topics.records.clone(),
            topic: Arc::clone(topic),
            partition,
            position: from,
            held: VecDeque::new(),
            at_block: false,
            tail,
        })
    }

    /// At least `records_max` records from the position on, if there are as many before `end`: whole blocks.
    async fn read(&self, records_max: usize, end: Offset) -> Result<VecDeque<Record>, Error> {
        let (database, records) = (self.database.clone(), self.records.clone());
        let (number, partition, position) = (self.topic.number, self.partition, self.position);
        let (topic, at_block) = (Arc::clone(&self.topic), self.at_block);
        let read = move || {
            let key = |offset| layout::block_key(number, partition, offset).to_vec();
            let failed = |error| Error::from(database.failed(error));
            let mut first = key(position);
            if !at_block
                && let Some(entry) = records.range(key(Offset(0))..=key(position)).next_back()
            {
                first = entry.key().map_err(failed)?.to_vec();
            }
            let (mut found, mut next, mut bytes) = (VecDeque::new(), position, 0);
            for entry in records.range(first..key(end)) {
                let (key, block) = entry.into_inner().map_err(failed)?;
                for record in layout::records(&key, &block) {
                    let record = record?;
                    if record.offset == next {
                        next = next.next();
                        bytes += record.key.len() + record.value.len();
                        found.push_back(record);
                    } else if record.offset > next {
                        return Err(missing(&topic, partition, next));
                    }
                }
                if found.len() >= records_max || bytes >= READ_BYTES_MAX {
                    break;
                }
            }
            match found.is_empty() {
                true => Err(missing(&topic, partition, position)),
                false => Ok(found),
            }
        };
        if end.0 - position.0 <= RECORDS_INLINE_MAX {
            return read();
        }
        // On a thread that may wait for the disk.
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Error::Unavailable { reason: format!("the read failed: {error}") })?
    }
}

fn missing(topic: &TopicState, partition: Partition, offset: Offset) -> Error {
    let at = format!("{} partition {partition} offset {offset}", topic.name);
    Error::Damaged { at, what: "no record where one was written" }
}

#[async_trait]
impl Reader for PartitionReader {
    async fn next(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, Error> {
        if records_max == 0 {
            return Ok(Vec::new());
        }
        let position = self.position;
        let arrival = self.tail.wait_for(|tail| tail.deleted || tail.next > position);
        let gone = || Error::NoTopic { topic: self.topic.name.clone() };
        let tail = match timeout(wait, arrival).await {
            Err(_) => return Ok(Vec::new()),
            Ok(Err(_)) => return Err(gone()),
            Ok(Ok(tail)) => *tail,
        };
        if tail.deleted {
            return Err(gone());
        }
        if self.held.is_empty() {
            self.held = match self.read(records_max, tail.next).await {
                // Its records go one after the other.
                Err(_) if self.tail.borrow().deleted => return Err(gone()),
                read => read?,
            };
            self.at_block = true;
        }
        let taken = self.held.len().min(records_max);
        let found: Vec<Record> = self.held.drain(..taken).collect();
        if let Some(last) = found.last() {
            self.position = last.offset.next();
        }
        Ok(found)
    }

    fn position(&self) -> Offset {
        self.position
    }
}
