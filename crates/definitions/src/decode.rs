//! From record bytes to typed columns: the one decoder that batch and stream use.
//!
//! A record is judged in this order, and its first fault is its reason: well formed → types → required
//! columns → keys → partition → earliest time. Members that the source does not name are ignored, so that a
//! producer may send more than we read. Whether an event lies in the *future* is judged by the fold, which
//! holds the tolerance against the append time.

mod columns;
mod json;
mod row;
mod time;

use std::sync::Arc;

use arrow::array::RecordBatch;
use record::{AppendTime, EventTime, Offset, Partition, Record, partition_for_key};

use crate::Source;
use columns::Builder;
use row::{Cell, Refusal, RowReader};

pub use time::parse_rfc3339;

/// Bytes that a record may have; a larger one is malformed.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes that a key or an event id may have.
pub const KEY_BYTES_MAX: usize = 512;

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
    /// A scaled value beyond ± 2^53, or a text longer than a feature may keep.
    OutOfRange,
}

impl Reason {
    /// All of them, in their order.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::MissingColumn,
        Self::WrongType,
        Self::MissingKey,
        Self::Misrouted,
        Self::TooEarly,
        Self::Future,
        Self::KeyFlood,
        Self::Expression,
        Self::OutOfRange,
    ];

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
    /// with a record is that row's [`Rejection`]. A batch must stay below 2 GiB of record bytes, which is
    /// what Arrow's 32-bit offsets hold.
    #[must_use]
    pub fn decode(&self, records: &[Record]) -> EventBatch {
        let mut builders: Vec<Builder> =
            self.source.columns.iter().map(|column| Builder::new(column, records.len())).collect();
        let mut event_times = Vec::with_capacity(records.len());
        let mut rejections = Vec::new();
        let mut reader = RowReader::default();
        let mut cells = Vec::with_capacity(builders.len());
        for (row, record) in records.iter().enumerate() {
            match self.read(record, &mut reader, &mut cells) {
                Ok(event_time) => {
                    event_times.push(event_time);
                    builders
                        .iter_mut()
                        .zip(&cells)
                        .for_each(|(builder, cell)| builder.append(cell));
                }
                Err((reason, detail)) => {
                    event_times.push(EventTime::MIN);
                    builders.iter_mut().for_each(Builder::append_null);
                    rejections.push(Rejection { row, reason, detail });
                }
            }
        }
        let arrays = builders.into_iter().map(Builder::finish).collect();
        let columns = RecordBatch::try_new(Arc::clone(&self.source.schema), arrays)
            .expect("builders follow the source's schema, one value per row");
        EventBatch {
            partition: self.partition,
            offsets: records.iter().map(|record| record.offset).collect(),
            append_times: records.iter().map(|record| record.append_time).collect(),
            event_times,
            columns,
            rejections,
        }
    }

    fn read<'a>(
        &self,
        record: &'a Record,
        reader: &mut RowReader,
        cells: &mut Vec<Cell<'a>>,
    ) -> Result<EventTime, Refusal> {
        let source = &*self.source;
        if record.value.len() > RECORD_BYTES_MAX {
            let length = record.value.len();
            return Err((
                Reason::Malformed,
                format!("{length} bytes; expected at most {RECORD_BYTES_MAX}"),
            ));
        }
        reader.read(source, &record.value, cells)?;
        let key = identifier(source, source.key, cells)?;
        identifier(source, source.event_id, cells)?;
        if record.key != key.as_bytes() {
            return Err((
                Reason::Misrouted,
                format!("the record's key is not its `{}`", source.columns[source.key].name),
            ));
        }
        let partition = partition_for_key(&record.key, self.partitions);
        if partition != self.partition {
            return Err((
                Reason::Misrouted,
                format!("the key belongs to partition {partition}, found in {}", self.partition),
            ));
        }
        let Cell::Int(event_time) = cells[source.event_time] else {
            return Err((Reason::WrongType, "the event time is not a timestamp".into()));
        };
        if event_time < source.earliest_us {
            let name = &source.columns[source.event_time].name;
            return Err((
                Reason::TooEarly,
                format!("`{name}` is {event_time}; expected at least {}", source.earliest_us),
            ));
        }
        Ok(EventTime(event_time))
    }
}

/// A key or an event id: there, not empty, not too long.
fn identifier<'c>(
    source: &Source,
    column: usize,
    cells: &'c [Cell<'_>],
) -> Result<&'c str, Refusal> {
    let name = &source.columns[column].name;
    let text: &str = match &cells[column] {
        Cell::Text(text) => text,
        _ => "",
    };
    if text.is_empty() {
        return Err((Reason::MissingKey, format!("`{name}` is empty; expected an identifier")));
    }
    if text.len() > KEY_BYTES_MAX {
        return Err((
            Reason::WrongType,
            format!("`{name}` has {} bytes; expected at most {KEY_BYTES_MAX}", text.len()),
        ));
    }
    Ok(text)
}
