use std::sync::Arc;

use candidate_pipeline::Fuser;
use candidates::pool;
use candidates::source::Hit;
use hashbrown::HashSet;

use super::metrics::Metrics;
use super::query::{Candidate, Query};

/// Reciprocal-rank fusion of the sources, as [`candidates::pool`] defines it.
pub(super) struct RankFuser {
    pub(super) pool_max: usize,
    pub(super) metrics: Arc<Metrics>,
}

impl Fuser<Query, Candidate> for RankFuser {
    fn fuse(&self, query: &Query, lists: Vec<(&str, Vec<Candidate>)>) -> Vec<Candidate> {
        let places: Vec<usize> = lists.iter().map(|(name, _)| place(query, name)).collect();
        let hits: Vec<(String, Vec<Hit>)> = lists
            .into_iter()
            .zip(&places)
            .map(|((name, list), at)| {
                (name.to_owned(), list.iter().filter_map(|c| c.hits[*at]).collect())
            })
            .collect();
        let found = places.iter().zip(&hits).map(|(at, (_, hits))| (*at, hits.clone()));
        // Set once: a query is fused once.
        let _ = query.found.set(found.collect());
        let given = (hits.iter().map(|(_, hits)| hits.len()).sum::<usize>() > self.pool_max)
            .then(|| hits.iter().flat_map(|(_, hits)| hits).map(|hit| hit.item).collect());
        let fused = pool::fuse(hits, self.pool_max);
        let given = given.map_or(fused.len(), |items: HashSet<u32>| items.len());
        Metrics::add(&self.metrics.candidates_cut, (given - fused.len()) as u64);
        let mut candidates: Vec<Candidate> =
            fused.items.iter().map(|item| Candidate::new(*item)).collect();
        for (column, at) in fused.hits.iter().zip(&places) {
            for (candidate, hit) in candidates.iter_mut().zip(column) {
                candidate.hits[*at] = *hit;
            }
        }
        for candidate in &mut candidates {
            candidate.row = query.items.ordinal(query.id(candidate));
        }
        candidates
    }
}

fn place(query: &Query, source: &str) -> usize {
    let place = query.sources.iter().position(|name| name == source);
    place.expect("the pipeline's sources are the query's")
}
