//! From record bytes to typed columns: the one decoder that batch and stream use.

use std::sync::Arc;

use arrow::array::RecordBatch;
use record::{AppendTime, EventTime, Offset, Partition, Record};

use crate::Source;

/// Decoded records of one partition, in offset order: one row per record, rejected ones included.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// Partition that the records come from.
    pub partition: Partition,
    /// Offset of each row, ascending.
    pub offsets: Vec<Offset>,
    /// Append time of each row.
    pub append_times: Vec<AppendTime>,
    /// Event time of each row as sent; meaningless for a rejected row.
    pub event_times: Vec<EventTime>,
    /// The source's columns, in its order (key and event id are among them).
    pub columns: RecordBatch,
    /// Rows that could not be decoded, ascending by row.
    pub rejections: Vec<Rejection>,
}

/// A record that becomes a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Row in its batch.
    pub row: usize,
    /// Why, from a closed set.
    pub reason: Reason,
    /// What was wrong, with the column and what was expected, for a person.
    pub detail: String,
}

/// Why a record is a dead letter: the closed set that counters and topics use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not a record of the wire format.
    Malformed,
    /// A required column is absent or null.
    MissingColumn,
    /// A column has another type, or a value that its type cannot hold.
    WrongType,
    /// The stream key or the entity's key is empty.
    MissingKey,
    /// The record lies in a partition that is not its key's.
    Misrouted,
    /// Event time before the source's earliest plausible one.
    TooEarly,
    /// Event time after append time + tolerance.
    Future,
    /// More identities within lateness than a key may have.
    KeyFlood,
    /// An expression failed on this row alone.
    Expression,
    /// A scaled value beyond ± 2^53.
    OutOfRange,
}

impl Reason {
    /// The name in counters, topics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::MissingColumn => "missing_column",
            Self::WrongType => "wrong_type",
            Self::MissingKey => "missing_key",
            Self::Misrouted => "misrouted",
            Self::TooEarly => "too_early",
            Self::Future => "future",
            Self::KeyFlood => "key_flood",
            Self::Expression => "expression",
            Self::OutOfRange => "out_of_range",
        }
    }
}

/// Decodes the records of one partition of one source.
#[derive(Debug)]
pub struct Decoder {
    source: Arc<Source>,
    partition: Partition,
    partitions: u32,
}

impl Decoder {
    /// A decoder for a partition of a log that has `partitions` of them.
    #[must_use]
    pub fn new(source: Arc<Source>, partition: Partition, partitions: u32) -> Self {
        Self { source, partition, partitions }
    }

    /// Decodes records, which are in offset order and of this partition. Never fails: what is wrong
    /// with a record is that row's [`Rejection`].
    #[must_use]
    pub fn decode(&self, records: &[Record]) -> EventBatch {
        let _ = (&self.source, self.partition, self.partitions, records);
        unimplemented!()
    }
}
