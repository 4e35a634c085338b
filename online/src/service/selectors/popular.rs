use candidate_pipeline::Fallback;
use candidates::source;

use crate::service::query::{Candidate, Query};

/// The trending list, which is in memory with the indexes.
pub(in crate::service) struct Popular {
    pub(in crate::service) limit: usize,
}

impl Fallback<Query, Candidate> for Popular {
    fn candidates(&self, query: &Query) -> Vec<Candidate> {
        let Some(indexes) = &query.snapshot.indexes else { return Vec::new() };
        let name = "trending";
        let at = query.sources.iter().position(|source| source == name);
        let hits = source::candidates(name, indexes, None, &query.asked, self.limit);
        let candidate = |hit: source::Hit| {
            let mut candidate = Candidate::new(hit.item);
            candidate.row = query.items.ordinal(indexes.catalogue.id(hit.item));
            if let Some(at) = at {
                candidate.hits[at] = Some(hit);
            }
            candidate
        };
        hits.into_iter().map(candidate).collect()
    }
}
