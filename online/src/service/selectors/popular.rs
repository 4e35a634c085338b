use candidate_pipeline::Fallback;
use candidates::source;
use hashbrown::HashMap;

use crate::service::query::{Candidate, Query};

/// The trending list, which is in memory with the indexes. An item carries the hits that the sources
/// gave it, and no others: its place in this list is no source's.
pub(in crate::service) struct Popular {
    pub(in crate::service) limit: usize,
}

impl Fallback<Query, Candidate> for Popular {
    fn candidates(&self, query: &Query) -> Vec<Candidate> {
        let Some(indexes) = &query.snapshot.indexes else { return Vec::new() };
        let popular = source::candidates("trending", indexes, None, &query.asked, self.limit);
        let mut candidates: Vec<Candidate> =
            popular.iter().map(|hit| Candidate::new(hit.item)).collect();
        let places: HashMap<u32, usize> =
            candidates.iter().zip(0..).map(|(candidate, at)| (candidate.item, at)).collect();
        for candidate in &mut candidates {
            candidate.row = query.items.ordinal(indexes.catalogue.id(candidate.item));
        }
        for (source, hits) in query.found.get().into_iter().flatten() {
            for hit in hits {
                if let Some(at) = places.get(&hit.item) {
                    candidates[*at].hits[*source] = Some(*hit);
                }
            }
        }
        candidates
    }
}
