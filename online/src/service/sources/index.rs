use async_trait::async_trait;
use candidate_pipeline::{Cause, Source};
use candidates::source;

use crate::service::query::{Candidate, Query};

/// One of the sources of `candidates`, by name. It computes for microseconds, in the request's own
/// task; only `interest` grows with the catalogue, at about 64 multiplications an item.
pub(in crate::service) struct IndexSource {
    pub(in crate::service) name: String,
    /// Place among the model's sources.
    pub(in crate::service) at: usize,
    pub(in crate::service) per_source: usize,
}

#[async_trait]
impl Source<Query, Candidate> for IndexSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn source(&self, query: &Query) -> Result<Vec<Candidate>, Cause> {
        let indexes = query.snapshot.indexes.as_ref();
        let indexes = indexes.ok_or_else(|| Cause("no candidate indexes".to_owned()))?;
        let vectors = query.snapshot.vectors.as_deref();
        let hits = source::candidates(&self.name, indexes, vectors, &query.asked, self.per_source);
        let candidate = |hit: source::Hit| {
            let mut candidate = Candidate::new(hit.item);
            candidate.hits[self.at] = Some(hit);
            candidate
        };
        Ok(hits.into_iter().map(candidate).collect())
    }
}
