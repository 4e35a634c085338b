//! What a training of the retriever can be told.

use documented::Documented;
use serde::{Deserialize, Serialize};

/// Settings of [`super::Retriever::fit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seed of the first weights, of the order of positions and of the sampled items.
    pub seed: u64,
    /// Length of the vectors.
    pub dimension: usize,
    /// Half-life of an event's weight in an interest vector, in microseconds: that of the definition.
    pub half_life_us: i64,
    /// Events that an interest vector is made of at most, the newest.
    pub history_max: usize,
    /// Passes over the positions at most.
    pub epochs_max: usize,
    /// Epochs without a better validation loss before it ends.
    pub patience: usize,
    /// Positions a step.
    pub positions_per_batch: usize,
    /// Items in the softmax at most; a larger catalogue is sampled afresh each step.
    pub softmax_items_max: usize,
    /// Factor of the cosine before the softmax (the inverse of its temperature).
    pub sharpness: f32,
    /// Peak of the learning rate; it falls along a cosine.
    pub learning_rate: f64,
    /// Share of the positions, the last in time, that are held out to find the number of epochs.
    pub validation_share: f64,
    /// Whether to train again on all positions, the held-out ones included, for as many epochs as were
    /// found best: the newest events say most about the next ones.
    pub refit: bool,
    /// The most positions that are learned from; beyond it the latest ones are.
    pub positions_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            dimension: 64,
            half_life_us: 5 * 60 * 1_000_000,
            history_max: 20,
            epochs_max: 10,
            patience: 2,
            positions_per_batch: 256,
            softmax_items_max: 2048,
            sharpness: 6.0,
            learning_rate: 2e-2,
            validation_share: 0.1,
            refit: true,
            positions_max: 500_000,
        }
    }
}
