use candidate_pipeline::{Selection, Selector, top_k};

use crate::service::query::{Candidate, Query};

/// The greatest scores; what has none keeps the order of fusion and comes last.
pub(in crate::service) struct Best;

impl Selector<Query, Candidate> for Best {
    fn select(&self, query: &Query, candidates: Vec<Candidate>) -> Selection<Candidate> {
        top_k(candidates, query.k, |candidate| candidate.score)
    }
}
