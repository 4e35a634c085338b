//! The runner: hydrate → source → fuse → filter → score → select.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::stage::apply;
use crate::{
    Budget, Caps, Cause, Fallback, Filter, Fuser, Hydrator, Outcomes, Scorer, Selection, Selector,
    Source, Verdict,
};

/// The stages of one kind of query.
pub struct Pipeline<Q, C> {
    /// Run together, first.
    pub hydrators: Vec<Arc<dyn Hydrator<Q>>>,
    /// Run together, then.
    pub sources: Vec<Arc<dyn Source<Q, C>>>,
    /// Makes one list.
    pub fuser: Arc<dyn Fuser<Q, C>>,
    /// Run in order, always.
    pub filters: Vec<Arc<dyn Filter<Q, C>>>,
    /// Run in order, while there is time.
    pub scorers: Vec<Arc<dyn Scorer<Q, C>>>,
    /// Chooses.
    pub selector: Arc<dyn Selector<Q, C>>,
    /// What there is when nothing else is.
    pub fallback: Arc<dyn Fallback<Q, C>>,
    /// Time per verb.
    pub caps: Caps,
}

/// A finished run.
#[derive(Debug)]
pub struct Run<Q, C> {
    /// The query, hydrated.
    pub query: Q,
    /// What is answered and what is not.
    pub selection: Selection<C>,
    /// Whether the fallback answered.
    pub fell_back: bool,
    /// What became of each stage.
    pub outcomes: Outcomes,
}

impl<Q: Send + Sync, C: Send + Sync> Pipeline<Q, C> {
    /// Answers `query` by `deadline`, with whatever was ready by then.
    pub async fn run(&self, mut query: Q, deadline: Instant) -> Run<Q, C> {
        let start = Instant::now();
        let budget = Budget::new(start, deadline, self.caps);
        let mut outcomes = Outcomes::default();
        self.hydrate(&mut query, budget.hydrate_end, &mut outcomes).await;
        let lists = self.source(&query, budget.source_end, &mut outcomes).await;
        let mut candidates = self.fuser.fuse(&query, lists);
        self.filter(&query, &mut candidates, &mut outcomes);
        let fell_back = candidates.is_empty();
        if fell_back {
            candidates = self.fallback.candidates(&query);
            self.filter(&query, &mut candidates, &mut outcomes);
        } else {
            self.score(&query, &mut candidates, budget.score_end, &mut outcomes).await;
        }
        let before = Instant::now();
        let selection = self.selector.select(&query, candidates);
        let count = selection.selected.len();
        outcomes.push("select", "select", Verdict::Ok, before.elapsed(), count);
        Run { query, selection, fell_back, outcomes }
    }

    async fn hydrate(&self, query: &mut Q, end: Instant, outcomes: &mut Outcomes) {
        let patches = {
            let query = &*query;
            let wanted = self.hydrators.iter().filter(|stage| stage.enable(query));
            let work = wanted.map(|stage| async move {
                let span = tracing::debug_span!("hydrate", stage = stage.name());
                (stage.name(), within(end, stage.hydrate(query)).instrument(span).await)
            });
            join_all(work).await
        };
        for (stage, (result, took)) in patches {
            let verdict = match result {
                Ok(patch) => {
                    patch(query);
                    Verdict::Ok
                }
                Err(verdict) => verdict,
            };
            outcomes.push("hydrate", stage, verdict, took, 0);
        }
    }

    async fn source(
        &self,
        query: &Q,
        end: Instant,
        outcomes: &mut Outcomes,
    ) -> Vec<(&str, Vec<C>)> {
        let wanted = self.sources.iter().filter(|stage| stage.enable(query));
        let work = wanted.map(|stage| async move {
            let span = tracing::debug_span!("source", stage = stage.name());
            (stage.name(), within(end, stage.source(query)).instrument(span).await)
        });
        let mut lists = Vec::with_capacity(self.sources.len());
        for (stage, (result, took)) in join_all(work).await {
            let (list, verdict) = match result {
                Ok(list) => (list, Verdict::Ok),
                Err(verdict) => (Vec::new(), verdict),
            };
            outcomes.push("source", stage, verdict, took, list.len());
            lists.push((stage, list));
        }
        lists
    }

    fn filter(&self, query: &Q, candidates: &mut Vec<C>, outcomes: &mut Outcomes) {
        for filter in &self.filters {
            apply(&**filter, query, candidates, outcomes);
        }
    }

    async fn score(&self, query: &Q, candidates: &mut [C], end: Instant, outcomes: &mut Outcomes) {
        for stage in self.scorers.iter().filter(|stage| stage.enable(query)) {
            let span = tracing::debug_span!("score", stage = stage.name());
            let (result, took) = within(end, stage.score(query, candidates)).instrument(span).await;
            let verdict = match result {
                Ok(patch) => {
                    patch(candidates);
                    Verdict::Ok
                }
                Err(verdict) => verdict,
            };
            outcomes.push("score", stage.name(), verdict, took, candidates.len());
        }
    }
}

/// Waits for `work` until `end`; work that would begin at its end or later is not begun. What computes
/// past its end cannot be cut, but it is late all the same, and what it gives is dropped.
async fn within<T>(
    end: Instant,
    work: impl Future<Output = Result<T, Cause>>,
) -> (Result<T, Verdict>, Duration) {
    let start = Instant::now();
    if start >= end {
        return (Err(Verdict::Skipped), Duration::ZERO);
    }
    let result = match timeout_at(end, work).await {
        Ok(Ok(_)) if Instant::now() > end => Err(Verdict::TimedOut),
        Ok(Ok(value)) => Ok(value),
        Ok(Err(cause)) => Err(Verdict::Failed(cause)),
        Err(_) => Err(Verdict::TimedOut),
    };
    (result, start.elapsed())
}

#[cfg(test)]
mod tests;
