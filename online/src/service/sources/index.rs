use std::sync::Arc;

use async_trait::async_trait;
use candidate_pipeline::{Cause, Source};
use candidates::source::{self, Hit, INTEREST};

use crate::service::query::{Candidate, Query};
use crate::service::tables::Snapshot;

/// One of the sources of `candidates`, by name. It computes for microseconds, in the request's own
/// task; only `interest` grows with the catalogue, at about 64 multiplications an item, hence off the
/// task: a late one is left behind.
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
        let hits = if self.name == INTEREST {
            let (snapshot, asked) = (Arc::clone(&query.snapshot), query.asked.clone());
            let per_source = self.per_source;
            let search = move || hits(INTEREST, &snapshot, &asked, per_source);
            let searched = tokio::task::spawn_blocking(search).await;
            searched.map_err(|error| Cause(format!("the search ended early: {error}")))??
        } else {
            hits(&self.name, &query.snapshot, &query.asked, self.per_source)?
        };
        let candidate = |hit: Hit| {
            let mut candidate = Candidate::new(hit.item);
            candidate.hits[self.at] = Some(hit);
            candidate
        };
        Ok(hits.into_iter().map(candidate).collect())
    }
}

fn hits(
    source: &str,
    snapshot: &Snapshot,
    asked: &source::Query,
    limit: usize,
) -> Result<Vec<Hit>, Cause> {
    let indexes = snapshot.indexes.as_ref();
    let indexes = indexes.ok_or_else(|| Cause("no candidate indexes".to_owned()))?;
    Ok(source::candidates(source, indexes, snapshot.vectors.as_deref(), asked, limit))
}
