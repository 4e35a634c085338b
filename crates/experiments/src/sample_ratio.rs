//! The sample-ratio check: whether arms hold as many units as their weights say. Where they do not,
//! something loses units of one arm, and no other figure of the experiment is to be trusted.

/// Pearson's chi-square of counts against weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// The statistic.
    pub chi_square: f64,
    /// Arms with weight, less one.
    pub degrees: usize,
    /// Probability of a statistic as large by chance; small (below .001) means a mismatch.
    pub p_value: f64,
}

/// Compares (units, weight) per arm. Units in an arm without weight are a certain mismatch; fewer
/// than two arms, or no units, cannot mismatch.
#[must_use]
pub fn sample_ratio(arms: &[(u64, u32)]) -> SampleRatio {
    let units: u64 = arms.iter().map(|arm| arm.0).sum();
    let weights: u64 = arms.iter().map(|arm| u64::from(arm.1)).sum();
    let degrees = arms.iter().filter(|arm| arm.1 > 0).count().saturating_sub(1);
    if arms.iter().any(|arm| arm.0 > 0 && arm.1 == 0) {
        return SampleRatio { chi_square: f64::INFINITY, degrees, p_value: 0.0 };
    }
    if degrees == 0 || units == 0 {
        return SampleRatio { chi_square: 0.0, degrees, p_value: 1.0 };
    }
    let terms = arms.iter().filter(|arm| arm.1 > 0).map(|(count, weight)| {
        let expected = units as f64 * f64::from(*weight) / weights as f64;
        let difference = *count as f64 - expected;
        difference * difference / expected
    });
    let chi_square: f64 = terms.sum();
    SampleRatio {
        chi_square,
        degrees,
        p_value: upper_gamma(degrees as f64 / 2.0, chi_square / 2.0),
    }
}

/// The regularised upper incomplete gamma function Q(a, x) for a > 0, x ≥ 0: its power series below
/// a + 1, its continued fraction (by Lentz's method) above (Abramowitz and Stegun, 6.5.29 and 6.5.31).
fn upper_gamma(a: f64, x: f64) -> f64 {
    const TERMS_MAX: usize = 10_000;
    const ENOUGH: f64 = 1e-15;
    if x <= 0.0 {
        return 1.0;
    }
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..TERMS_MAX {
            term *= x / (a + n as f64);
            sum += term;
            if term < sum * ENOUGH {
                break;
            }
        }
        return (1.0 - scale * sum).clamp(0.0, 1.0);
    }
    let tiny = f64::MIN_POSITIVE;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / tiny, 1.0 / b);
    let mut fraction = d;
    for n in 1..TERMS_MAX {
        let n = n as f64;
        let step = -n * (n - a);
        b += 2.0;
        d = 1.0 / (step * d + b);
        c = b + step / c;
        let factor = c * d;
        fraction *= factor;
        if (factor - 1.0).abs() < ENOUGH {
            break;
        }
    }
    (scale * fraction).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upper tails from the usual tables of the chi-square distribution.
    #[test]
    fn tails_agree_with_the_tables() {
        for (degrees, chi_square, p) in [
            (1, 3.841_459, 0.05),
            (1, 10.827_566, 0.001),
            (2, 5.991_465, 0.05),
            (5, 11.070_498, 0.05),
            (10, 2.558_212, 0.99),
            (10, 18.307_038, 0.05),
        ] {
            let found = upper_gamma(f64::from(degrees) / 2.0, chi_square / 2.0);
            assert!((found - p).abs() < 1e-7, "{degrees} {chi_square}: {found}");
        }
    }

    #[test]
    fn a_lost_share_is_found_and_chance_is_not() {
        let fair = sample_ratio(&[(5_050, 1), (4_950, 1)]);
        assert!((fair.chi_square - 1.0).abs() < 1e-12 && fair.p_value > 0.3, "{fair:?}");
        let lost = sample_ratio(&[(5_300, 1), (4_700, 1)]);
        assert!(lost.p_value < 1e-8, "{lost:?}");
        assert!(sample_ratio(&[(1_000, 1), (2_010, 2), (500, 0)]).p_value == 0.0);
        assert_eq!(sample_ratio(&[(10, 1)]).p_value, 1.0);
        assert_eq!(sample_ratio(&[(0, 1), (0, 1)]).p_value, 1.0);
    }
}
