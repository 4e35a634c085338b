//! The bootstrap (Efron, 1979) over clusters: observations of one session are not independent, so
//! whole sessions are drawn.

use serde::Serialize;

/// One session's part of a mean: the sum of its values and their number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cluster {
    /// Sum of the values (for a comparison: of the differences).
    pub sum: f64,
    /// Number of values.
    pub count: u64,
}

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Mean over all values.
    pub mean: f64,
    /// 2.5 % quantile of the resampled means.
    pub low: f64,
    /// 97.5 % quantile of the resampled means.
    pub high: f64,
}

/// The mean of all values and its percentile interval from `resamples` draws of as many clusters as
/// there are. Where the values are differences of two systems at the same places, this is the paired
/// bootstrap. The same seed gives the same interval. Of nothing, all is 0.
#[must_use]
pub fn paired(clusters: &[Cluster], resamples: usize, seed: u64) -> Interval {
    let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / count as f64 };
    let all = clusters.iter().fold((0.0, 0), |(sum, count), c| (sum + c.sum, count + c.count));
    let mut random = SplitMix(seed);
    let mut means: Vec<f64> = (0..resamples.max(1))
        .map(|_| {
            let (mut sum, mut count) = (0.0, 0);
            for _ in 0..clusters.len() {
                let drawn = &clusters[random.below(clusters.len())];
                sum += drawn.sum;
                count += drawn.count;
            }
            mean(sum, count)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((means.len() - 1) as f64 * share).round() as usize];
    Interval { mean: mean(all.0, all.1), low: at(0.025), high: at(0.975) }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same on every machine.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, by multiplication: the bias is below 2^-32 for fewer than 2^32 values.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(values: impl Iterator<Item = f64>) -> Vec<Cluster> {
        values.map(|sum| Cluster { sum, count: 1 }).collect()
    }

    /// 400 independent values of a fair coin: the mean's standard error is .025, so the interval is
    /// about ± .049.
    #[test]
    fn the_interval_is_as_wide_as_theory_says() {
        let interval = paired(&clusters((0..400).map(|i| f64::from(i % 2))), 4000, 1);
        assert_eq!(interval.mean, 0.5);
        assert!((interval.low - 0.451).abs() < 0.006, "{interval:?}");
        assert!((interval.high - 0.549).abs() < 0.006, "{interval:?}");
    }

    #[test]
    fn equal_systems_differ_by_nothing_and_seeds_repeat() {
        let none = paired(&clusters((0..50).map(|_| 0.0)), 100, 1);
        assert_eq!(none, Interval { mean: 0.0, low: 0.0, high: 0.0 });
        let values = clusters((0..50).map(f64::from));
        assert_eq!(paired(&values, 100, 7), paired(&values, 100, 7));
        assert_ne!(paired(&values, 100, 7), paired(&values, 100, 8));
        assert_eq!(paired(&[], 100, 1).mean, 0.0);
    }

    /// Clusters that move together make the interval wider than the same values alone would.
    #[test]
    fn whole_sessions_are_drawn() {
        let alone = clusters((0..400).map(|i| f64::from(i % 2)));
        let together: Vec<Cluster> =
            (0..20).map(|i| Cluster { sum: 20.0 * f64::from(i % 2), count: 20 }).collect();
        let width = |clusters: &[Cluster]| {
            let interval = paired(clusters, 2000, 3);
            interval.high - interval.low
        };
        assert!(width(&together) > 3.0 * width(&alone));
    }
}
