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
use crate::{Error, Reader};

/// About the most bytes of one call's records.
const BYTES_MAX: usize = 4 << 20;

/// Reads one partition up to what is durable.
pub(super) struct PartitionReader {
    database: Database,
    records: Keyspace,
    topic: Arc<TopicState>,
    partition: Partition,
    position: Offset,
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
            tail,
        })
    }
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
        let (database, records) = (self.database.clone(), self.records.clone());
        let (number, partition) = (self.topic.number, self.partition);
        let range = layout::record_key(number, partition, position)
            ..layout::record_key(number, partition, tail.next);
        // On a thread that may wait for the disk. The position moves only when the answer is here,
        // so a call that is dropped in between loses nothing.
        let read = move || {
            let mut found: Vec<Record> = Vec::new();
            let mut bytes = 0;
            for entry in records.range(range) {
                let (key, value) = entry.into_inner().map_err(|error| database.failed(error))?;
                found.push(layout::record(partition, &key, &value)?);
                bytes += value.len();
                if found.len() == records_max || bytes >= BYTES_MAX {
                    break;
                }
            }
            Ok::<_, Error>(found)
        };
        let found = tokio::task::spawn_blocking(read).await.map_err(|error| {
            Error::Unavailable { reason: format!("the read failed: {error}") }
        })??;
        let Some(last) = found.last() else {
            let at = format!("{} partition {partition} offset {position}", self.topic.name);
            return Err(Error::Damaged { at, what: "no record where one was written" });
        };
        self.position = last.offset.next();
        Ok(found)
    }

    fn position(&self) -> Offset {
        self.position
    }
}
