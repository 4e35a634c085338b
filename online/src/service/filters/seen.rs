use candidate_pipeline::{Cause, Filter, OnFailure};
use hashbrown::HashSet;

use crate::service::query::{Candidate, Query};

/// Drops what the visitor's sequence holds, except on surfaces that keep it.
pub(in crate::service) struct Seen {
    pub(in crate::service) keep_surfaces: Vec<String>,
}

impl Filter<Query, Candidate> for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn enable(&self, query: &Query) -> bool {
        !self.keep_surfaces.contains(&query.request.surface)
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Keep
    }

    fn filter(&self, query: &Query, candidates: &[Candidate]) -> Result<Vec<bool>, Cause> {
        if query.visitor.values.iter().any(Vec::is_empty) {
            return Err(Cause("the visitor was not read".to_owned()));
        }
        let seen: HashSet<&str> = query.asked.sequence.iter().map(|seen| &*seen.item).collect();
        Ok(candidates.iter().map(|candidate| !seen.contains(&**query.id(candidate))).collect())
    }
}
