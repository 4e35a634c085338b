//! Values of features: what a read gives, what a model sees and what parity compares.

mod encode;

pub use encode::{decode_values, encode_values};

use std::sync::Arc;

/// A feature's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing known.
    Null,
    /// `Int64`.
    Int(i64),
    /// `Float64`; NaN and −0 never occur.
    Float(f64),
    /// `Boolean`.
    Bool(bool),
    /// `Utf8`.
    Text(Arc<str>),
    /// Map of text to `Int64`, sorted by key; `complete` is false where a tile was over its cap, and
    /// then a key that is absent is unknown, not zero.
    Map {
        /// Entries sorted by key.
        entries: Vec<(Arc<str>, i64)>,
        /// Whether an absent key means zero.
        complete: bool,
    },
    /// Events, oldest first.
    Sequence(Vec<Seen>),
    /// Unit-length vector.
    Vector(Vec<f32>),
}

/// One event of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The item.
    pub item: Arc<str>,
    /// Effective time.
    pub at: record::EventTime,
    /// The kind of event, empty where the definition names no tag.
    pub tag: Arc<str>,
}

/// Item vectors that interest vectors are made of.
pub trait Embedding: Send + Sync {
    /// Identity of the vectors: a digest of their bytes.
    fn digest(&self) -> [u8; 32];
    /// Length of each vector.
    fn dimension(&self) -> usize;
    /// An item's vector; `None` adds nothing.
    fn vector(&self, item: &str) -> Option<&[f32]>;
}
