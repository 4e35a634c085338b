//! Golden vectors: a few rows with the scores that the trainer computed, so that a service which
//! computes something else is found before it serves.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{Ranker, TrainingSet};

/// Rows with their scores. JSON keeps each `f32` exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Raw inputs, before normalisation.
    pub inputs: Vec<Vec<f32>>,
    /// Their scores.
    pub scores: Vec<f32>,
    /// Allowed difference: `tolerance · (1 + |score|)`. The same build on the same kind of processor
    /// gives the same bits; another one sums in another order.
    pub tolerance: f32,
}

impl Golden {
    /// The tolerance of bundles that are trained here: some hundred roundings of an `f32`.
    pub const TOLERANCE: f32 = 2e-5;

    /// Scores at most `count` rows of a training set, spread evenly over it.
    #[must_use]
    pub fn of(ranker: &Ranker, set: &TrainingSet, count: usize) -> Self {
        let rows = set.labels.len() / crate::training_set::TASKS.len();
        let count = count.min(rows);
        let inputs: Vec<Vec<f32>> =
            (0..count).map(|at| set.row(at * rows / count).to_vec()).collect();
        let scores = ranker.score(&inputs.concat(), count);
        Self { inputs, scores, tolerance: Self::TOLERANCE }
    }

    /// Compares with what the ranker gives now.
    pub(super) fn check(&self, ranker: &Ranker) -> Result<(), Error> {
        let found = ranker.score(&self.inputs.concat(), self.scores.len());
        for (row, (&found, &expected)) in found.iter().zip(&self.scores).enumerate() {
            let tolerance = self.tolerance * (1.0 + expected.abs());
            // Asked this way round, a NaN on either side is a difference.
            let near = (found - expected).abs() <= tolerance;
            if !near {
                return Err(Error::Golden { row, found, expected, tolerance });
            }
        }
        Ok(())
    }
}
