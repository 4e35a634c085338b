//! A live log's records up to an offset, all of them.

use std::time::Duration;

use event_log::EventLog;
use record::{Offset, Partition, Record};

use crate::Error;

/// Records in one call of the log's reader.
const RECORDS_MAX: usize = 8192;
/// How long one call waits.
const WAIT: Duration = Duration::from_millis(50);
/// Calls in a row that may bring nothing and move nothing, half a minute of them: a log on a network may
/// be slow, but what stands still for so long is not to be waited for.
const IDLE_READS_MAX: u32 = 600;

/// Reads one partition until the reader's position has reached an end that the log's bounds promised. An
/// empty answer says nothing: the log may be slow. The position says it all, gaps included.
pub struct UpTo {
    reader: Box<dyn event_log::Reader>,
    topic: String,
    partition: Partition,
    to: Offset,
}

impl UpTo {
    /// A reader of `from..to`.
    ///
    /// # Errors
    /// When the log does not hold `from`.
    pub async fn open(
        log: &dyn EventLog,
        topic: &str,
        partition: Partition,
        from: Offset,
        to: Offset,
    ) -> Result<Self, Error> {
        let reader = log.reader(topic, partition, from).await?;
        Ok(Self { reader, topic: topic.to_owned(), partition, to })
    }

    /// The next records, in offset order, at least one; `None` when everything up to the end was read.
    ///
    /// # Errors
    /// When the log fails, or stands still before the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        let mut idle = 0;
        while self.reader.position() < self.to {
            let before = self.reader.position();
            let mut records = self.reader.next(RECORDS_MAX, WAIT).await?;
            let position = self.reader.position();
            records.retain(|record| record.offset < self.to);
            if !records.is_empty() {
                return Ok(Some(records));
            }
            idle = if position > before { 0 } else { idle + 1 };
            if idle == IDLE_READS_MAX {
                let (topic, partition, to) = (self.topic.clone(), self.partition, self.to);
                return Err(Error::Stalled { topic, partition, position, to });
            }
        }
        Ok(None)
    }
}
