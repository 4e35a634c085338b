//! The pool: every source's hits, fused into one list in a stated order.

use crate::index::Indexes;
use crate::source::{self, Hit, Query};
use crate::{Error, Vectors};

/// Damping of reciprocal-rank fusion (Cormack, Clarke and Büttcher, 2009); less than their 60, because
/// the head of a list says more here than its tail.
const DAMPING: f64 = 20.0;

/// Candidates of several sources, without repetition, in the order of fusion: descending
/// Σ weight of source / (20 + rank), ties by item id. This is the order of what no model scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Names of the sources, in the order of `hits`.
    pub sources: Vec<String>,
    /// Ordinals of the candidates in the indexes' catalogue.
    pub items: Vec<u32>,
    /// Per source, per candidate: the source's hit if it gave the item.
    pub hits: Vec<Vec<Option<Hit>>>,
}

/// What a source's rank counts in the fusion: session-aware sources first, what everyone sees last.
#[must_use]
pub fn weight(source: &str) -> f64 {
    match source {
        "sessions" => 1.0,
        "covisit" | "sequential" => 0.4,
        "interest" => 0.5,
        "recent" => 0.1,
        _ => 0.05,
    }
}

/// What one source's hit adds to a candidate's place in the fusion.
#[must_use]
pub fn strength(source: &str, hit: &Hit) -> f64 {
    weight(source) / (DAMPING + f64::from(hit.rank))
}

/// A candidate's place in the fusion: the sum over its hits, in the order of the sources.
#[must_use]
pub fn total_strength<'a>(hits: impl IntoIterator<Item = (&'a str, &'a Hit)>) -> f64 {
    hits.into_iter().fold(0.0, |total, (source, hit)| total + strength(source, hit))
}

/// The order of fusion, of (sum of the hits' strengths, ordinal in the catalogue).
#[must_use]
pub fn order(a: &(f64, u32), b: &(f64, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Runs `sources` with at most `per_source` hits each and fuses them into at most `limit` candidates.
///
/// # Errors
/// A name that is no source's.
pub fn gather(
    sources: &[String],
    indexes: &Indexes,
    vectors: Option<&Vectors>,
    query: &Query,
    per_source: usize,
    limit: usize,
) -> Result<Pool, Error> {
    source::check(sources.iter().map(String::as_str))?;
    let lists = sources
        .iter()
        .map(|name| (name.clone(), source::candidates(name, indexes, vectors, query, per_source)));
    Ok(fuse(lists.collect(), limit))
}

/// Fuses lists of hits, each best first, into at most `limit` candidates.
#[must_use]
pub fn fuse(lists: Vec<(String, Vec<Hit>)>, limit: usize) -> Pool {
    let mut places = hashbrown::HashMap::<u32, usize>::new();
    let mut fused: Vec<(f64, u32)> = Vec::new();
    for (name, hits) in &lists {
        for hit in hits {
            let gain = strength(name, hit);
            match places.entry(hit.item) {
                hashbrown::hash_map::Entry::Occupied(place) => fused[*place.get()].0 += gain,
                hashbrown::hash_map::Entry::Vacant(place) => {
                    place.insert(fused.len());
                    fused.push((gain, hit.item));
                }
            }
        }
    }
    fused.sort_unstable_by(order);
    fused.truncate(limit);
    let items: Vec<u32> = fused.into_iter().map(|(_, item)| item).collect();
    let rows: hashbrown::HashMap<u32, usize> =
        items.iter().enumerate().map(|(row, item)| (*item, row)).collect();
    let mut pool = Pool { sources: Vec::new(), items, hits: Vec::new() };
    for (name, hits) in lists {
        let mut column = vec![None; pool.items.len()];
        for hit in hits {
            if let Some(row) = rows.get(&hit.item) {
                column[*row] = Some(hit);
            }
        }
        pool.sources.push(name);
        pool.hits.push(column);
    }
    pool
}

impl Pool {
    /// Number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no source gave anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Keeps the candidates whose row `keep` is true for, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, u32) -> bool) {
        let kept: Vec<bool> =
            self.items.iter().enumerate().map(|(row, item)| keep(row, *item)).collect();
        let filtered = |row: &mut usize| {
            *row += 1;
            kept[*row - 1]
        };
        let mut row = 0;
        self.items.retain(|_| filtered(&mut row));
        for column in &mut self.hits {
            let mut row = 0;
            column.retain(|_| filtered(&mut row));
        }
    }

    /// The hits of a candidate with their sources' names, in the order of the sources.
    pub fn hits_of(&self, row: usize) -> impl Iterator<Item = (&str, &Hit)> {
        self.sources
            .iter()
            .zip(&self.hits)
            .filter_map(move |(name, column)| Some((name.as_str(), column[row].as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(item: u32, rank: u32) -> Hit {
        Hit { item, score: 1.0 / f64::from(rank), rank, share: 1.0 }
    }

    #[test]
    fn what_a_candidate_carries_says_where_the_fusion_puts_it() {
        let sources = ["covisit", "sessions", "trending", "recent"];
        let lists = sources.iter().zip(0u32..).map(|(source, at)| {
            let ranks = (1..=30u32).map(|rank| hit((rank * (7 + at)) % 31, rank));
            ((*source).to_owned(), ranks.collect())
        });
        let pool = fuse(lists.collect(), 100);
        let mut placed: Vec<(f64, u32)> = (0..pool.len())
            .map(|row| (total_strength(pool.hits_of(row)), pool.items[row]))
            .collect();
        assert!(placed.len() > 25 && placed.windows(2).any(|pair| pair[0].0 > pair[1].0));
        placed.reverse();
        placed.sort_unstable_by(order);
        assert!(placed.iter().map(|(_, item)| *item).eq(pool.items.iter().copied()));
    }
}
