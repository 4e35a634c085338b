//! Inputs to a common scale: `(x − mean) / scale`, held to ±[`BOUND`].

use serde::{Deserialize, Serialize};

/// Normalised inputs beyond this are held to it, so that one wild input cannot drown the others.
pub const BOUND: f32 = 8.0;

/// A mean and a scale an input, as they were on the training rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Divided by: the standard deviation, or 1 for an input that never varied.
    pub scale: Vec<f32>,
}

impl Normalisation {
    /// Mean and standard deviation of each column of row-major `rows × width`, in f64 and in the order
    /// of the rows, so that the same rows give the same bits.
    #[must_use]
    pub fn of(values: &[f32], width: usize) -> Self {
        let rows = (values.len() / width).max(1) as f64;
        let mut mean = vec![0.0_f64; width];
        for row in values.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
        }
        mean.iter_mut().for_each(|m| *m /= rows);
        let mut square = vec![0.0_f64; width];
        for row in values.chunks_exact(width) {
            for ((s, m), v) in square.iter_mut().zip(&mean).zip(row) {
                *s += (f64::from(*v) - m).powi(2);
            }
        }
        let scale = |s: f64| if (s / rows).sqrt() < 1e-6 { 1.0 } else { (s / rows).sqrt() as f32 };
        Self {
            mean: mean.into_iter().map(|m| m as f32).collect(),
            scale: square.into_iter().map(scale).collect(),
        }
    }

    /// Appends a normalised row.
    pub(crate) fn push(&self, row: &[f32], out: &mut Vec<f32>) {
        let terms = row.iter().zip(&self.mean).zip(&self.scale);
        out.extend(terms.map(|((v, m), s)| ((v - m) / s).clamp(-BOUND, BOUND)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_get_mean_zero_and_scale_one() {
        let values = [1.0, 7.0, 3.0, 7.0, 5.0, 7.0];
        let n = Normalisation::of(&values, 2);
        assert_eq!(n.mean, [3.0, 7.0]);
        assert_eq!(n.scale[1], 1.0);
        let mut out = Vec::new();
        values.chunks_exact(2).for_each(|row| n.push(row, &mut out));
        let squares: f32 = out.iter().step_by(2).map(|v| v * v).sum();
        assert!((squares / 3.0 - 1.0).abs() < 1e-6, "{out:?}");
        n.push(&[1e30, -1e30], &mut out);
        assert_eq!(out[6..], [BOUND, -BOUND]);
    }
}
