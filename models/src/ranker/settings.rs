//! What a training of the ranker can be told.

use documented::Documented;
use serde::{Deserialize, Serialize};

/// Settings of [`super::Ranker::fit`]; the defaults suit some ten thousand positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of the first weights and of the order of positions.
    pub seed: u64,
    /// Passes over the training positions at most.
    pub epochs_max: usize,
    /// Epochs without a better validation loss before it ends.
    pub patience: usize,
    /// Positions a step.
    pub positions_per_batch: usize,
    /// Peak of the learning rate; it warms up over the first steps and falls along a cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay (AdamW).
    pub weight_decay: f32,
    /// Widths of the two hidden layers.
    pub hidden: [usize; 2],
    /// Share of the positions, the last in time, that training never sees.
    pub validation_share: f64,
    /// Weight of each task of [`crate::training_set::TASKS`] in the loss and in the score; a task
    /// without a single label counts 0.
    pub task_weights: [f32; 3],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            epochs_max: 15,
            patience: 3,
            positions_per_batch: 32,
            learning_rate: 2e-3,
            weight_decay: 1e-2,
            hidden: [32, 16],
            validation_share: 0.1,
            task_weights: [1.0, 0.5, 0.5],
        }
    }
}
