//! From the partition's queue into records.

use std::time::Duration;

use rdkafka::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use record::{AppendTime, Offset, Partition, Record};
use tokio::time::Instant;

use super::{Fault, PartitionReader};
use crate::kafka::headers;
use crate::{Error, READ_BYTES_MAX};

impl PartitionReader {
    /// Takes what is there, at most `records_max`, up to the first fault. Waits for nothing, so it
    /// cannot be dropped half way.
    pub(super) fn drain(&mut self, records_max: usize) {
        let mut bytes = 0;
        while self.held.len() < records_max && bytes < READ_BYTES_MAX && self.fault.is_none() {
            match self.claim.queue.poll(Duration::ZERO) {
                None => break,
                Some(Err(error)) => self.fault = Some(Fault::of(error)),
                Some(Ok(message)) => match record(self.ends.partition, &message) {
                    None => self.fault = Some(Fault::NoAppendTime),
                    Some(record) if record.offset >= self.position => {
                        bytes += record.key.len() + record.value.len();
                        self.held.push(record);
                    }
                    // A batch that holds the position may begin before it.
                    Some(_) => {}
                },
            }
        }
        self.taken_at = Instant::now();
    }

    /// Moves the position past offsets that hold no record: markers of transactions, and what those
    /// that were aborted wrote.
    pub(super) fn cover_gap(&mut self) -> Result<(), Error> {
        let Some(covered) = self.claim.position()? else { return Ok(()) };
        if covered > self.position {
            self.position = covered;
            self.watchdog.progress();
        }
        Ok(())
    }
}

impl Fault {
    fn of(error: KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(
                Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::NoOffset
                | Code::LogTruncation,
            ) => Self::Outside,
            Some(Code::BadMessage | Code::InvalidMessage | Code::InvalidMessageSize) => {
                Self::Damaged("its checksum or its form is wrong")
            }
            Some(Code::BadCompression) => Self::Damaged("it cannot be decompressed"),
            Some(Code::NotImplemented) => {
                Self::Damaged("it is compressed or laid out in a way that this program cannot read")
            }
            _ => Self::Passing(error),
        }
    }
}

/// `None` when the record does not carry the log's own time.
fn record(partition: Partition, message: &BorrowedMessage<'_>) -> Option<Record> {
    let Timestamp::LogAppendTime(append_time) = message.timestamp() else { return None };
    Some(Record {
        partition,
        offset: Offset(message.offset().unsigned_abs()),
        append_time: AppendTime(append_time),
        key: message.key().unwrap_or_default().to_vec(),
        value: message.payload().unwrap_or_default().to_vec(),
        trace: message.headers().and_then(headers::trace).map(Box::new),
    })
}

/// The topic keeps the producers' times.
pub(in crate::kafka) fn append_time_missing(topic: &str) -> Error {
    Error::Unfit {
        topic: topic.to_owned(),
        found: "records without the log's own append time".to_owned(),
        expected: "message.timestamp.type=LogAppendTime",
        remedy: "records keep the kind of time they were written with: use a new topic, created \
                 with `twofold topics create`",
    }
}
