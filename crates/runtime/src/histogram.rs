//! Durations counted by size: adding one is three relaxed additions, so it fits where requests and commits
//! are made, and whoever reads never makes a writer wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a doubling: a quantile is known to 9 %.
const PER_DOUBLING: usize = 8;
/// Doublings from 1 µs on; the last bucket has everything above about 134 s.
const DOUBLINGS: usize = 27;
const BUCKETS: usize = PER_DOUBLING * DOUBLINGS;
/// The first doubling that [`Snapshot::doublings`] tells apart: up to 64 µs.
const DOUBLING_MIN: usize = 6;

/// Counts of durations by logarithmic bucket. Shared by reference; all its methods may be called at once.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum_us: AtomicU64,
    max_ns: AtomicU64,
}

/// What a [`Histogram`] held. Its parts were read one after the other: what came meanwhile may be in some of
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    buckets: Vec<u64>,
    /// All durations together.
    pub sum: Duration,
    /// The longest one.
    pub max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum_us: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&self, took: Duration) {
        self.add_many(took, 1);
    }

    /// Counts a duration `count` times.
    pub fn add_many(&self, took: Duration, count: u64) {
        let us = took.as_secs_f64() * 1e6;
        let bucket = (us.max(1.0).log2() * PER_DOUBLING as f64) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(count, Ordering::Relaxed);
        self.sum_us.fetch_add((us.round() as u64).wrapping_mul(count), Ordering::Relaxed);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.max_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// What it holds.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)),
            max: Duration::from_nanos(self.max_ns.load(Ordering::Relaxed)),
        }
    }
}

impl Snapshot {
    /// Durations that were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that a share of them (0 to 1) did not exceed, as the upper bound of its bucket, in
    /// microseconds; 0 of none.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|in_bucket| {
            seen += in_bucket;
            seen >= wanted
        });
        let max_us = self.max.as_secs_f64() * 1e6;
        bucket.map_or(0.0, |at| (((at + 1) as f64 / PER_DOUBLING as f64).exp2()).min(max_us))
    }

    /// Upper bound in seconds and count of each doubling from 64 µs to 67 s, and of what is above; each
    /// duration is in one of them.
    #[must_use]
    pub fn doublings(&self) -> Vec<(f64, u64)> {
        let (small, rest) = self.buckets.split_at(PER_DOUBLING * DOUBLING_MIN);
        let (rest, above) = rest.split_at(rest.len() - PER_DOUBLING);
        let bound = |doubling: usize| (doubling as f64).exp2() / 1e6;
        let mut doublings = vec![(bound(DOUBLING_MIN), small.iter().sum())];
        let rest = rest.chunks(PER_DOUBLING).zip(DOUBLING_MIN + 1..);
        doublings.extend(rest.map(|(in_doubling, at)| (bound(at), in_doubling.iter().sum())));
        doublings.push((f64::INFINITY, above.iter().sum()));
        doublings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|us| histogram.add(Duration::from_micros(us)));
        let all = histogram.snapshot();
        assert!((500.0..550.0).contains(&all.quantile_us(0.5)), "{all:?}");
        assert!((990.0..=1000.0).contains(&all.quantile_us(0.99)), "{all:?}");
        assert_eq!((all.count(), all.max), (1000, Duration::from_millis(1)));
        assert_eq!(all.sum, Duration::from_micros(500_500));
        assert_eq!(Histogram::default().snapshot().quantile_us(0.5), 0.0);
    }

    #[test]
    fn every_duration_is_in_one_doubling() {
        let histogram = Histogram::default();
        let us = Duration::from_micros;
        for (took, times) in [(us(0), 1), (us(63), 2), (us(65), 4), (us(100), 8), (us(900), 16)] {
            histogram.add_many(took, times);
        }
        histogram.add_many(Duration::from_secs(60), 32);
        histogram.add_many(Duration::from_secs(70), 64);
        histogram.add_many(Duration::MAX, 128);
        let doublings = histogram.snapshot().doublings();
        let of = |bound: f64| doublings.iter().find(|(at, _)| *at == bound).unwrap().1;
        assert_eq!((of(0.000_064), of(0.000_128), of(0.001_024)), (3, 12, 16));
        assert_eq!((of(67.108_864), of(f64::INFINITY)), (32, 192));
        assert_eq!(doublings.iter().map(|(_, count)| count).sum::<u64>(), 255);
        assert!(doublings.is_sorted_by(|a, b| a.0 < b.0), "{doublings:?}");
    }
}
