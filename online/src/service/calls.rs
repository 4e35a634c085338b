//! How many calls there were, what became of them and how long they took: one histogram for each method and
//! outcome, so that what was counted and what was measured cannot differ.

use std::sync::Arc;
use std::time::Duration;

use runtime::histogram::{self, Histogram};
use tokio::time::Instant;
use wire::v1;

use super::metrics::Metrics;
use super::status::Refusal;

/// A method of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `Recommender.Recommend`.
    Recommend,
    /// `Tracker.Track`.
    Track,
    /// `Features.Get`.
    Features,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Answered; of `Recommend`, in which tier.
    Answered(Option<Tier>),
    /// Refused for load.
    Shed,
    /// Refused as invalid.
    Invalid,
    /// Nothing could be answered yet.
    Unavailable,
    /// Nobody waited for the answer any more.
    Cancelled,
}

/// How much of the pipeline an answer went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// All of it.
    Full,
    /// Something before the ranker is missing.
    Partial,
    /// The ranker is missing.
    Heuristic,
    /// No source gave anything.
    Popular,
}

/// Calls by method and outcome.
#[derive(Debug, Default)]
pub(super) struct Calls([[Histogram; OUTCOMES.len()]; METHODS.len()]);

/// A call that is under way; one that is dropped was cancelled.
pub(super) struct Call<'a> {
    metrics: &'a Metrics,
    method: Method,
    start: Instant,
    outcome: Outcome,
}

const METHODS: [Method; 3] = [Method::Recommend, Method::Track, Method::Features];
const OUTCOMES: [Outcome; 9] = [
    Outcome::Answered(None),
    Outcome::Answered(Some(Tier::Full)),
    Outcome::Answered(Some(Tier::Partial)),
    Outcome::Answered(Some(Tier::Heuristic)),
    Outcome::Answered(Some(Tier::Popular)),
    Outcome::Shed,
    Outcome::Invalid,
    Outcome::Unavailable,
    Outcome::Cancelled,
];

impl Method {
    /// Its name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recommend => "recommend",
            Self::Track => "track",
            Self::Features => "features",
        }
    }
}

impl Outcome {
    /// Its name, in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered(_) => "ok",
            Self::Shed => "shed",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }

    /// The answer's tier, in lower case; empty where there is none.
    #[must_use]
    pub fn tier(self) -> &'static str {
        match self {
            Self::Answered(Some(Tier::Full)) => "full",
            Self::Answered(Some(Tier::Partial)) => "partial",
            Self::Answered(Some(Tier::Heuristic)) => "heuristic",
            Self::Answered(Some(Tier::Popular)) => "popular",
            _ => "",
        }
    }

    fn place(self) -> usize {
        OUTCOMES.iter().position(|outcome| *outcome == self).expect("all of them are listed")
    }
}

impl From<v1::Tier> for Outcome {
    fn from(tier: v1::Tier) -> Self {
        Self::Answered(match tier {
            v1::Tier::Full => Some(Tier::Full),
            v1::Tier::Partial => Some(Tier::Partial),
            v1::Tier::Heuristic => Some(Tier::Heuristic),
            v1::Tier::Popular => Some(Tier::Popular),
            v1::Tier::Unspecified => None,
        })
    }
}

impl From<&Refusal> for Outcome {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Invalid(_) | Refusal::Denied(_) => Self::Invalid,
            Refusal::Exhausted { .. } => Self::Shed,
            Refusal::Unavailable(_) => Self::Unavailable,
        }
    }
}

impl Calls {
    /// Calls of all methods that ended so.
    pub(super) fn count(&self, outcome: Outcome) -> u64 {
        self.0.iter().map(|of_method| of_method[outcome.place()].snapshot().count()).sum()
    }

    /// Each method and outcome that there was.
    pub(super) fn snapshots(&self) -> Vec<(Method, Outcome, histogram::Snapshot)> {
        let all = METHODS.into_iter().zip(&self.0).flat_map(|(method, outcomes)| {
            let outcomes = OUTCOMES.into_iter().zip(outcomes);
            outcomes.map(move |(outcome, histogram)| (method, outcome, histogram.snapshot()))
        });
        all.filter(|(_, _, took)| took.count() > 0).collect()
    }
}

impl<'a> Call<'a> {
    pub(super) fn begin(metrics: &'a Arc<Metrics>, method: Method) -> Self {
        Self { metrics, method, start: Instant::now(), outcome: Outcome::Cancelled }
    }

    pub(super) fn started(&self) -> Instant {
        self.start
    }

    /// It has ended thus; returns how long it took.
    pub(super) fn end(mut self, outcome: Outcome) -> Duration {
        self.outcome = outcome;
        self.start.elapsed()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let of_method = &self.metrics.calls.0[self.method as usize];
        of_method[self.outcome.place()].add(self.start.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_once_whatever_becomes_of_it() {
        let metrics = Arc::new(Metrics::default());
        for (at, method) in METHODS.into_iter().enumerate() {
            assert_eq!(method as usize, at, "its place in the table");
            for outcome in OUTCOMES {
                Call::begin(&metrics, method).end(outcome);
            }
            drop(Call::begin(&metrics, method));
        }
        assert_eq!(metrics.calls.count(Outcome::Shed), METHODS.len() as u64);
        let all = metrics.calls.snapshots();
        assert_eq!(all.len(), METHODS.len() * OUTCOMES.len());
        for (_, outcome, took) in all {
            let cancelled = outcome == Outcome::Cancelled;
            assert_eq!(took.count(), if cancelled { 2 } else { 1 }, "{outcome:?}");
        }
    }
}
