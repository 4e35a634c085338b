//! The ranker's weights as plain numbers: what is initialised, saved, loaded and given to Burn.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::tensors::{Tensor, Tensors};
use crate::training_set::TASKS;

/// Sizes that a ranker is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of inputs.
    pub inputs: usize,
    /// Widths of the two hidden layers.
    pub hidden: [usize; 2],
}

impl Shape {
    /// Names and shapes of the tensors, as PyTorch's `nn.Linear` has them: `[outputs, inputs]`.
    ///
    /// `score_t(x) = wide.weight[t]·x + heads.weight[t]·relu(hidden2(relu(hidden1(x))))`, one row of
    /// `wide` and `heads` a task. Those two have no bias: a constant cancels in a softmax.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let [first, second] = self.hidden;
        let named = [
            ("wide.weight", vec![TASKS.len(), self.inputs]),
            ("hidden1.weight", vec![first, self.inputs]),
            ("hidden1.bias", vec![first]),
            ("hidden2.weight", vec![second, first]),
            ("hidden2.bias", vec![second]),
            ("heads.weight", vec![TASKS.len(), second]),
        ];
        named.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }

    /// First weights: He's uniform for the hidden layers, 0 elsewhere, so that training starts from
    /// equal scores.
    ///
    /// Source: He et al. 2015, *Delving Deep into Rectifiers*, eq. 10, as a uniform law.
    pub(crate) fn initial(&self, seed: u64) -> Tensors {
        // Not Burn's generator: that one is shared by the whole process, so two trainings at the
        // same time would draw from each other.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut tensor = |(name, shape): (String, Vec<usize>)| {
            let count = shape.iter().product();
            let bound = (6.0 / *shape.last().expect("every shape has an axis") as f32).sqrt();
            let values = match name.as_str() {
                "hidden1.weight" | "hidden2.weight" => {
                    (0..count).map(|_| rng.random_range(-bound..bound)).collect()
                }
                // The heads must not be 0 or nothing would flow back to the hidden layers.
                "heads.weight" => {
                    (0..count).map(|_| 0.1 * rng.random_range(-bound..bound)).collect()
                }
                _ => vec![0.0; count],
            };
            (name, Tensor { values, shape })
        };
        self.tensors().into_iter().map(&mut tensor).collect()
    }
}
