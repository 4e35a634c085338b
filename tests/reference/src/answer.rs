//! What the oracle answers with, in words of its own.

use std::sync::Arc;

use definitions::Reason;

/// What became of a record in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Applied,
    /// Seen before.
    Duplicate,
    /// It lies before the watermark.
    Late,
    /// Refused, with the reason.
    DeadLettered(Reason),
}

/// A value: of a column in a record, or of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing known.
    Null,
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(Arc<str>),
    /// Counts by text.
    Map {
        /// Sorted by text.
        entries: Vec<(Arc<str>, i64)>,
        /// Whether an absent text means zero.
        complete: bool,
    },
    /// Events, oldest first.
    Sequence(Vec<Seen>),
    /// Of unit length.
    Vector(Vec<f32>),
}

/// An event of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The item.
    pub item: Arc<str>,
    /// Effective time, in microseconds.
    pub at: i64,
    /// The tag, empty where there is none.
    pub tag: Arc<str>,
}
