//! The stages: each has a name, may be disabled for a query, and has one verb.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Outcomes, Selection};

/// Why a stage could not do its work: short, lower case, for counters and for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub String);

/// A change that a stage worked out, applied once the stage is in time; a late one leaves nothing
/// half done.
pub type Patch<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Brings what the later stages need to know into the query. Hydrators run together.
#[async_trait]
pub trait Hydrator<Q>: Send + Sync {
    /// Unique among the hydrators.
    fn name(&self) -> &str;
    /// Whether it is wanted for this query.
    fn enable(&self, _query: &Q) -> bool {
        true
    }
    /// Reads and returns the change to the query.
    async fn hydrate(&self, query: &Q) -> Result<Patch<Q>, Cause>;
}

/// Finds candidates. Sources run together.
#[async_trait]
pub trait Source<Q, C>: Send + Sync {
    /// Unique among the sources.
    fn name(&self) -> &str;
    /// Whether it is wanted for this query.
    fn enable(&self, _query: &Q) -> bool {
        true
    }
    /// Candidates, best first.
    async fn source(&self, query: &Q) -> Result<Vec<C>, Cause>;
}

/// Makes one list out of the sources' lists, without repetition, in the order that stands wherever
/// no scorer says otherwise.
pub trait Fuser<Q, C>: Send + Sync {
    /// Fuses lists, in the order in which the pipeline names its sources.
    fn fuse(&self, query: &Q, lists: Vec<(&str, Vec<C>)>) -> Vec<C>;
}

/// What a filter's failure means for the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Fails open: everything stays.
    Keep,
    /// Fails closed: nothing stays.
    Drop,
}

/// Drops candidates. Filters run one after the other and are never skipped for lack of time.
pub trait Filter<Q, C>: Send + Sync {
    /// Unique among the filters.
    fn name(&self) -> &str;
    /// Whether it is wanted for this query.
    fn enable(&self, _query: &Q) -> bool {
        true
    }
    /// What becomes of the candidates when it fails.
    fn on_failure(&self) -> OnFailure;
    /// One flag per candidate: whether it stays.
    fn filter(&self, query: &Q, candidates: &[C]) -> Result<Vec<bool>, Cause>;
}

/// Scores candidates. Scorers run one after the other.
#[async_trait]
pub trait Scorer<Q, C>: Send + Sync {
    /// Unique among the scorers.
    fn name(&self) -> &str;
    /// Whether it is wanted for this query.
    fn enable(&self, _query: &Q) -> bool {
        true
    }
    /// Works out scores and returns how to write them into the candidates.
    async fn score(&self, query: &Q, candidates: &[C]) -> Result<Patch<[C]>, Cause>;
}

/// Chooses what is answered, and its order.
pub trait Selector<Q, C>: Send + Sync {
    /// Splits the candidates.
    fn select(&self, query: &Q, candidates: Vec<C>) -> Selection<C>;
}

/// What there is to answer when the sources have nothing: always in memory, never late.
pub trait Fallback<Q, C>: Send + Sync {
    /// Candidates, best first; the filters still apply.
    fn candidates(&self, query: &Q) -> Vec<C>;
}

/// Something done about a finished answer, off its deadline.
#[async_trait]
pub trait SideEffect<D: Send + Sync + 'static>: Send + Sync {
    /// Unique among the side effects.
    fn name(&self) -> &str;
    /// Whether it is wanted for this answer.
    fn enable(&self, _done: &D) -> bool {
        true
    }
    /// Does it; what goes wrong is its own to count.
    async fn run(&self, done: Arc<D>);
}

/// Starts side effects and returns at once.
pub fn run_side_effects<D: Send + Sync + 'static>(
    effects: &[Arc<dyn SideEffect<D>>],
    done: &Arc<D>,
) {
    for effect in effects.iter().filter(|effect| effect.enable(done)) {
        let (effect, done) = (effect.clone(), done.clone());
        tokio::spawn(async move { effect.run(done).await });
    }
}

/// Runs a filter and applies what its failure means.
pub(crate) fn apply<Q, C>(
    filter: &dyn Filter<Q, C>,
    query: &Q,
    candidates: &mut Vec<C>,
    outcomes: &mut Outcomes,
) {
    if !filter.enable(query) {
        return;
    }
    let before = candidates.len();
    let kept = filter.filter(query, candidates).and_then(|kept| {
        let fits = kept.len() == before;
        fits.then_some(kept).ok_or_else(|| Cause("not one flag per candidate".to_owned()))
    });
    let cause = match kept {
        Ok(kept) => {
            let mut kept = kept.into_iter();
            candidates.retain(|_| kept.next().unwrap_or(false));
            None
        }
        Err(cause) => {
            if filter.on_failure() == OnFailure::Drop {
                candidates.clear();
            }
            Some(cause)
        }
    };
    outcomes.filtered(filter.name(), cause, before, candidates.len());
}
