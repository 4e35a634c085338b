//! Counters and latencies: plain atomics, read as one snapshot.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::histogram::{self, Histogram};
use serde::Serialize;

use super::calls::{Calls, Method, Outcome};

/// Different texts that are counted; what comes beyond is counted as `other`.
const LABELS_MAX: usize = 256;

/// What the service has done since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) calls: Calls,
    pub(super) stale: AtomicU64,
    pub(super) empty: AtomicU64,
    /// Taken into the queue: written, failed, unwritten, or still in it.
    pub(super) served_queued: AtomicU64,
    pub(super) served_written: AtomicU64,
    pub(super) served_overflow: AtomicU64,
    pub(super) served_failed: AtomicU64,
    pub(super) served_unwritten: AtomicU64,
    pub(super) track_ok: AtomicU64,
    pub(super) track_invalid: AtomicU64,
    pub(super) track_unavailable: AtomicU64,
    pub(super) expression_failures: AtomicU64,
    pub(super) candidates: AtomicU64,
    pub(super) candidates_cut: AtomicU64,
    pub(super) short: Labels,
    pub(super) tiers: Labels,
    pub(super) degradations: Labels,
    degraded: Mutex<BTreeMap<(String, &'static str), u64>>,
    stages: Mutex<BTreeMap<String, Arc<Histogram>>>,
}

/// A snapshot of [`Metrics`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Requests refused for load.
    pub shed: u64,
    /// Requests refused as invalid.
    pub invalid: u64,
    /// Requests that nothing could be answered to yet.
    pub unavailable: u64,
    /// Answers that did not cover the positions asked for.
    pub stale: u64,
    /// Answers without an item.
    pub empty: u64,
    /// Records written to topic `served`.
    pub served_written: u64,
    /// Records dropped because the queue was full.
    pub served_overflow: u64,
    /// Records that the log did not take.
    pub served_failed: u64,
    /// Records that were still queued, or on their way, when the service had to end.
    pub served_unwritten: u64,
    /// Events tracked.
    pub track_ok: u64,
    /// Events refused for good.
    pub track_invalid: u64,
    /// Events that the log did not take.
    pub track_unavailable: u64,
    /// Inputs whose expression failed on a row and that counted as 0.
    pub expression_failures: u64,
    /// Candidates that were left after the filters, summed over the answers.
    pub candidates: u64,
    /// Candidates that sources gave and that were not scored, because the pool was full.
    pub candidates_cut: u64,
    /// Answers with fewer items than asked for, by each filter that left some out.
    pub short: BTreeMap<String, u64>,
    /// Answers by tier.
    pub tiers: BTreeMap<String, u64>,
    /// Degradations by `stage: cause`.
    pub degradations: BTreeMap<String, u64>,
    /// Latency by stage; `total` is the whole answer.
    pub stages: BTreeMap<String, Latency>,
}

/// Quantiles in microseconds, as upper bounds of their bucket (9 % wide).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Measurements.
    pub count: u64,
    /// Median.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// The largest.
    pub max_us: f64,
}

/// Counts by text, bounded.
#[derive(Debug, Default)]
pub(super) struct Labels(Mutex<BTreeMap<String, u64>>);

impl Snapshot {
    /// Answers that topic `served` does not hold though they were given.
    #[must_use]
    pub fn served_lost(&self) -> u64 {
        self.served_overflow + self.served_failed + self.served_unwritten
    }
}

impl Metrics {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts what topic `served` will never hold, once nobody writes to it any more.
    pub(super) fn give_up_served(&self) -> u64 {
        let left = self.served_waiting();
        Self::add(&self.served_unwritten, left);
        left
    }

    /// Counts a part that an answer had to do without: which (as many as the definitions have), in which of
    /// a few ways, and in words.
    pub(super) fn degraded(&self, stage: &str, kind: &'static str, cause: &str) {
        self.degradations.add(&format!("{stage}: {cause}"));
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        *degraded.entry((stage.to_owned(), kind)).or_insert(0) += 1;
    }

    /// Takes in how long each stage of one answer took.
    pub(super) fn took<'a>(&self, stages: impl IntoIterator<Item = (&'a str, Duration)>) {
        let mut known = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        for (stage, took) in stages {
            if let Some(histogram) = known.get_mut(stage) {
                histogram.add(took);
            } else if known.len() < LABELS_MAX {
                known.entry(stage.to_owned()).or_default().add(took);
            }
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            shed: self.calls.count(Outcome::Shed),
            invalid: self.calls.count(Outcome::Invalid),
            unavailable: self.calls.count(Outcome::Unavailable),
            stale: count(&self.stale),
            empty: count(&self.empty),
            served_written: count(&self.served_written),
            served_overflow: count(&self.served_overflow),
            served_failed: count(&self.served_failed),
            served_unwritten: count(&self.served_unwritten),
            track_ok: count(&self.track_ok),
            track_invalid: count(&self.track_invalid),
            track_unavailable: count(&self.track_unavailable),
            expression_failures: count(&self.expression_failures),
            candidates: count(&self.candidates),
            candidates_cut: count(&self.candidates_cut),
            short: self.short.snapshot(),
            tiers: self.tiers.snapshot(),
            degradations: self.degradations.snapshot(),
            stages: stages.iter().map(|(name, h)| (name.clone(), Latency::of(h))).collect(),
        }
    }

    /// How long calls took, by what became of them: as many as [`Metrics::snapshot`] counts.
    #[must_use]
    pub fn calls(&self) -> Vec<(Method, Outcome, histogram::Snapshot)> {
        self.calls.snapshots()
    }

    /// How long stages of answers took, by their name; `total` is the whole answer.
    #[must_use]
    pub fn stages(&self) -> Vec<(String, histogram::Snapshot)> {
        // Copied outside: whoever answers does not wait for it.
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stages.into_iter().map(|(name, took)| (name, took.snapshot())).collect()
    }

    /// What answers had to do without: stage, kind and how often.
    #[must_use]
    pub fn degraded_stages(&self) -> Vec<(String, &'static str, u64)> {
        let degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        degraded.iter().map(|((stage, kind), count)| (stage.clone(), *kind, *count)).collect()
    }

    /// Records for topic `served` that wait to be written, or are on their way.
    #[must_use]
    pub fn served_waiting(&self) -> u64 {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let ended = count(&self.served_written) + count(&self.served_failed);
        count(&self.served_queued).saturating_sub(ended + count(&self.served_unwritten))
    }

    /// Forgets latencies (not counts), so that a phase can be measured by itself.
    pub fn reset_latencies(&self) {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Labels {
    pub(super) fn add(&self, label: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
            return;
        }
        let label = if counts.len() < LABELS_MAX { label } else { "other" };
        *counts.entry(label.to_owned()).or_insert(0) += 1;
    }

    fn snapshot(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        let took = histogram.snapshot();
        Self {
            count: took.count(),
            p50_us: took.quantile_us(0.5),
            p99_us: took.quantile_us(0.99),
            max_us: took.max.as_secs_f64() * 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let labels = Labels::default();
        (0..1000).for_each(|n| labels.add(&n.to_string()));
        let counts = labels.snapshot();
        assert_eq!((counts.len(), counts["other"]), (LABELS_MAX + 1, 1000 - LABELS_MAX as u64));
    }
}
