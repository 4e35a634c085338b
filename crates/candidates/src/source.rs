//! Candidate sources: pure functions of (indexes, embedding, query).

use std::sync::Arc;

use fold::{Embedding, Seen};

use crate::index::Indexes;

/// What a source knows of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The visitor's recent events, oldest first, as the sequence feature gave them.
    pub sequence: Vec<Seen>,
    /// Items that the request names.
    pub context_items: Vec<Arc<str>>,
    /// The visitor's interest vector, if there is one.
    pub interest: Option<Vec<f32>>,
    /// When it is, in microseconds since the epoch.
    pub as_of_us: i64,
}

/// One candidate of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Ordinal of the item in the indexes' catalogue.
    pub item: u32,
    /// The source's own score.
    pub score: f64,
    /// From 1.
    pub rank: u32,
    /// Score as a share of the best.
    pub share: f64,
}

/// Runs a source by name (`covisit`, `sequential`, `sessions`, `interest`, `trending`, `recent`) and
/// gives at most `limit` hits, best first, ties by item id.
#[must_use]
pub fn candidates(
    source: &str,
    indexes: &Indexes,
    embedding: Option<&dyn Embedding>,
    query: &Query,
    limit: usize,
) -> Vec<Hit> {
    let _ = (source, indexes, embedding, query, limit);
    unimplemented!()
}
