//! What became of each stage.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Cause;

/// The verb of filters.
const FILTER: &str = "filter";

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In time.
    Ok,
    /// Not done at its end; what it would have given is missing.
    TimedOut,
    /// It said so.
    Failed(Cause),
    /// Never started, because no time was left.
    Skipped,
}

/// One stage's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The verb: `hydrate`, `source`, `filter`, `score`, `select`.
    pub verb: &'static str,
    /// The stage.
    pub stage: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// Candidates that it gave, or left.
    pub candidates: usize,
    /// Candidates that it left out: a filter's.
    pub left_out: usize,
}

/// The records of a run, in the order in which stages ended within their verb.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes(pub Vec<Outcome>);

impl Outcomes {
    /// Records that are not [`Verdict::Ok`].
    pub fn degraded(&self) -> impl Iterator<Item = &Outcome> {
        self.0.iter().filter(|outcome| outcome.verdict != Verdict::Ok)
    }

    /// Candidates that each filter left out, by its name; one that ran again, over the fallback's, has
    /// both.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<&str, usize> {
        let mut left_out = BTreeMap::new();
        for outcome in self.0.iter().filter(|outcome| outcome.verb == FILTER) {
            *left_out.entry(outcome.stage.as_str()).or_default() += outcome.left_out;
        }
        left_out.retain(|_, count| *count > 0);
        left_out
    }

    /// The record of a stage.
    #[must_use]
    pub fn of(&self, verb: &str, stage: &str) -> Option<&Outcome> {
        self.0.iter().find(|outcome| outcome.verb == verb && outcome.stage == stage)
    }

    pub(crate) fn push(
        &mut self,
        verb: &'static str,
        stage: &str,
        verdict: Verdict,
        took: Duration,
        candidates: usize,
    ) {
        if verdict != Verdict::Ok {
            tracing::debug!(verb, stage, ?verdict, ?took, "stage degraded");
        }
        let stage = stage.to_owned();
        self.0.push(Outcome { verb, stage, verdict, took, candidates, left_out: 0 });
    }

    pub(crate) fn filtered(
        &mut self,
        stage: &str,
        cause: Option<Cause>,
        before: usize,
        after: usize,
    ) {
        tracing::trace!(stage, before, after, "filtered");
        let verdict = cause.map_or(Verdict::Ok, Verdict::Failed);
        self.push(FILTER, stage, verdict, Duration::ZERO, after);
        if let Some(outcome) = self.0.last_mut() {
            outcome.left_out = before - after;
        }
    }
}

impl Verdict {
    /// Which of the verdicts it is, for counters: never what a stage says.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
            Self::Skipped => "no_time_left",
        }
    }

    /// A short text for answers.
    #[must_use]
    pub fn cause(&self) -> &str {
        match self {
            Self::Ok => "ok",
            Self::TimedOut => "timed out",
            Self::Failed(Cause(cause)) => cause,
            Self::Skipped => "no time left",
        }
    }
}
