use candidate_pipeline::{Cause, Filter, OnFailure};
use hashbrown::HashSet;

use crate::service::query::{Candidate, Query, fingerprint};

/// Drops what the request excludes, the items that it is about, and what earlier pages held.
pub(in crate::service) struct Excluded;

impl Filter<Query, Candidate> for Excluded {
    fn name(&self) -> &str {
        "excluded"
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Drop
    }

    fn filter(&self, query: &Query, candidates: &[Candidate]) -> Result<Vec<bool>, Cause> {
        let request = &query.request;
        let excluded: HashSet<&str> = request
            .exclude_item_ids
            .iter()
            .chain(&request.context_item_ids)
            .map(String::as_str)
            .collect();
        let keep = |candidate: &Candidate| {
            let id = query.id(candidate);
            !excluded.contains(&**id)
                && (query.earlier_pages.is_empty()
                    || !query.earlier_pages.contains(&fingerprint(id)))
        };
        Ok(candidates.iter().map(keep).collect())
    }
}
