//! Candidate sources: pure functions of (indexes, vectors, query), one per file.
//!
//! Every score is an f64 from one fixed order of operations, so that batch, service and parity find
//! the same bits.

mod anchors;
mod covisit;
mod interest;
mod recent;
mod sequential;
mod sessions;
mod tally;
mod trending;

use std::sync::Arc;

use fold::{Seen, Value};

use crate::index::{Indexes, Scored};
use crate::{Error, Vectors};

/// Names of all sources, as a model file may write them.
pub const NAMES: [&str; 6] = definitions::CANDIDATE_SOURCES;

/// The source that searches item vectors, and needs a model that has them.
pub const INTEREST: &str = interest::NAME;

/// What a source knows of the request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// The visitor's recent events, oldest first, as the sequence feature gave them.
    pub sequence: Vec<Seen>,
    /// Items that the request names; they count as the most recent ones, the first the most.
    pub context_items: Vec<Arc<str>>,
    /// What the item vectors are compared with: the visitor's interest vector, passed through the
    /// visitor tower of the model that the vectors belong to.
    pub interest: Option<Vec<f32>>,
    /// When it is, in microseconds since the epoch.
    pub as_of_us: i64,
}

/// One candidate of one source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Ordinal of the item in the indexes' catalogue.
    pub item: u32,
    /// The source's own score.
    pub score: f64,
    /// From 1.
    pub rank: u32,
    /// Score as a share of the best; 0 where the best is not above 0.
    pub share: f64,
}

impl Query {
    /// What the sources know of a visitor whose lanes gave these values: the first sequence, and the
    /// first vector passed through `tower` (the visitor tower of the model).
    #[must_use]
    pub fn of_visitor(
        visitor: &[&[Value]],
        context_items: Vec<Arc<str>>,
        as_of_us: i64,
        tower: impl FnOnce(&[f32]) -> Vec<f32>,
    ) -> Self {
        let values = || visitor.iter().flat_map(|lane| lane.iter());
        let sequence = values().find_map(|value| match value {
            Value::Sequence(seen) => Some(seen.clone()),
            _ => None,
        });
        let interest = values().find_map(|value| match value {
            Value::Vector(vector) => Some(vector),
            _ => None,
        });
        let interest = interest.map(|vector| tower(vector));
        Self { sequence: sequence.unwrap_or_default(), context_items, interest, as_of_us }
    }
}

/// Runs a source by name (`covisit`, `sequential`, `sessions`, `interest`, `trending`, `recent`) and
/// gives at most `limit` hits, best first, ties by item id. An unknown name gives none: refuse it
/// early with [`check`].
#[must_use]
pub fn candidates(
    source: &str,
    indexes: &Indexes,
    vectors: Option<&Vectors>,
    query: &Query,
    limit: usize,
) -> Vec<Hit> {
    let scored = match source {
        covisit::NAME => covisit::score(indexes, query),
        sequential::NAME => sequential::score(indexes, query),
        sessions::NAME => sessions::score(indexes, query),
        interest::NAME => interest::score(vectors, query, limit),
        trending::NAME => trending::score(indexes, limit),
        recent::NAME => recent::score(indexes, query),
        _ => Vec::new(),
    };
    ranked(scored, limit)
}

/// Refuses names that are no source's.
///
/// # Errors
/// [`Error::UnknownSource`] for the first such name.
pub fn check<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    match names.into_iter().find(|name| !NAMES.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Error::UnknownSource { name: name.to_owned(), known: NAMES.join(", ") }),
    }
}

/// The best `limit`, best first, ties by item; scores that are not finite are left out.
fn ranked(mut scored: Vec<Scored>, limit: usize) -> Vec<Hit> {
    scored.retain(|entry| entry.score.is_finite());
    let best_first = |a: &Scored, b: &Scored| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item));
    if scored.len() > limit {
        scored.select_nth_unstable_by(limit, best_first);
        scored.truncate(limit);
    }
    scored.sort_unstable_by(best_first);
    let best = scored.first().map_or(0.0, |entry| entry.score);
    (1..)
        .zip(scored)
        .map(|(rank, Scored { item, score })| {
            let share = if best > 0.0 { score / best } else { 0.0 };
            Hit { item, score, rank, share }
        })
        .collect()
}

#[cfg(test)]
mod tests;
