use std::sync::Arc;

use async_trait::async_trait;
use candidate_pipeline::{Cause, Patch, Scorer};
use candidates::joined_row::Request;
use fold::Value;

use crate::service::metrics::Metrics;
use crate::service::query::{Candidate, Query, pool};

/// The bundle's model, over the joined rows. It computes for a millisecond or so, hence off the
/// request's task: a late one is left behind and the answer goes out in the order of fusion.
pub(in crate::service) struct RankerScorer {
    pub(in crate::service) metrics: Arc<Metrics>,
}

#[async_trait]
impl Scorer<Query, Candidate> for RankerScorer {
    fn name(&self) -> &str {
        "ranker"
    }

    fn enable(&self, query: &Query) -> bool {
        !query.model_off
    }

    async fn score(
        &self,
        query: &Query,
        candidates: &[Candidate],
    ) -> Result<Patch<[Candidate]>, Cause> {
        let bundle = query.snapshot.bundle.clone();
        let bundle = bundle.ok_or_else(|| Cause("no bundle".to_owned()))?;
        let pool = pool(&query.sources, candidates);
        let rows: Vec<Option<u32>> = candidates.iter().map(|candidate| candidate.row).collect();
        let request = Request::of(&query.asked);
        let (visitor, items) = (Arc::clone(&query.visitor.values), Arc::clone(&query.items));
        let work = move || {
            let visitor: Vec<&[Value]> = visitor.iter().map(Vec::as_slice).collect();
            let joined = bundle.joiner.join(
                request,
                &visitor,
                |lane, row| rows[row].map_or(&[][..], |ordinal| items.values(lane, ordinal)),
                &pool,
            );
            let (inputs, failed) = bundle.model.evaluate(&joined);
            let scores = bundle.scorer.score(&inputs, rows.len());
            (Arc::<[f32]>::from(inputs), scores, failed)
        };
        let (inputs, scores, failed) = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Cause(format!("scoring ended early: {error}")))?;
        if scores.len() != candidates.len() {
            return Err(Cause("not one score per candidate".to_owned()));
        }
        if let Some((row, what)) = failed.first() {
            Metrics::add(&self.metrics.expression_failures, failed.len() as u64);
            tracing::warn!(row, what, count = failed.len(), "inputs failed and count as 0");
        }
        Ok(Box::new(move |candidates| {
            for ((candidate, score), row) in candidates.iter_mut().zip(scores).zip(0..) {
                candidate.score = Some(score);
                candidate.inputs = Some((Arc::clone(&inputs), row));
            }
        }))
    }
}
