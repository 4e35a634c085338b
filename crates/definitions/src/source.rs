//! A source: one topic of the log, its wire format and the typed columns of its records.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::DFSchema;

/// One topic of the log and how its records are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Name, unique among sources.
    pub name: String,
    /// Topic of the log, which no other source has.
    pub topic: String,
    /// File that names the topic, as it was given.
    pub file: String,
    /// Line of the topic in it, from 1.
    pub line: usize,
    /// Columns in the order of the file.
    pub columns: Vec<Column>,
    /// Index into `columns` of the stream key (the visitor of a clickstream).
    pub key: usize,
    /// Index into `columns` of the event time.
    pub event_time: usize,
    /// Index into `columns` of the event id.
    pub event_id: usize,
    /// How far behind the watermark's source an event may lie, in microseconds.
    pub allowed_lateness_us: i64,
    /// How far after its append time an event may claim to lie, in microseconds.
    pub max_future_us: i64,
    /// The earliest plausible event time, in microseconds since the epoch.
    pub earliest_us: i64,
    /// The Arrow schema of the decoded columns, in the order of `columns`.
    pub schema: SchemaRef,
}

/// A typed column of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name in the JSON object and in expressions.
    pub name: String,
    /// Type.
    pub column_type: ColumnType,
    /// Whether it may be absent or null.
    pub optional: bool,
}

/// Types of columns, with their Arrow types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `Utf8`; JSON string.
    String,
    /// `Int64`; JSON integer.
    Int64,
    /// `Float64`; JSON number, finite.
    Float64,
    /// `Boolean`.
    Boolean,
    /// `Timestamp(Microsecond, None)`, UTC; JSON integer of microseconds since the epoch, or RFC 3339 text.
    Timestamp,
}

impl ColumnType {
    /// The word in a definition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }

    /// The type that a definition's word means.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::String, Self::Int64, Self::Float64, Self::Boolean, Self::Timestamp]
            .into_iter()
            .find(|column_type| column_type.name() == name)
    }

    /// The Arrow type of the decoded column.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::String => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }
}

impl Source {
    /// The index of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The schema that expressions over this source see: its columns, unqualified.
    pub(crate) fn expression_schema(&self) -> Arc<DFSchema> {
        let schema = DFSchema::try_from(Arc::clone(&self.schema))
            .expect("column names are unique, TOML has no key twice");
        Arc::new(schema)
    }
}
