//! The ranker: orders the candidates of a position.
//!
//! A wide linear part and a small perceptron, summed, with one output a task (click, cart, purchase);
//! the score is their sum weighted by task. Trained as a softmax over each position's candidates.

mod fit;
mod net;
mod normalisation;
mod settings;
#[cfg(test)]
mod tests;
mod weights;

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{Device, TensorData};

pub use fit::{Error, Report};
pub use normalisation::{BOUND, Normalisation};
pub use settings::Settings;
pub use weights::Shape;

use crate::tensors::Tensors;
use crate::training_set::TASKS;

/// Rows that go through Burn at once. Always exactly so many, padded with zeros: the matrix kernel
/// chooses its path by the matrix's size, so with a free number of rows the last bits of a row's
/// score could depend on how many other candidates came with it, and a replay of one row would
/// differ from what was served.
pub const BLOCK_ROWS: usize = 128;

/// A trained ranker; immutable, cheap to clone, and shared between threads.
#[derive(Debug, Clone)]
pub struct Ranker {
    inputs: Arc<[String]>,
    shape: Shape,
    normalisation: Arc<Normalisation>,
    mix: [f32; 3],
    tensors: Arc<Tensors>,
    net: Arc<net::Net>,
}

impl Ranker {
    /// From parts whose shapes have been checked.
    pub(crate) fn new(
        inputs: Vec<String>,
        shape: Shape,
        normalisation: Normalisation,
        mix: [f32; 3],
        tensors: Tensors,
    ) -> Self {
        let net = Arc::new(net::Net::new(&tensors, &Device::flex()));
        Self {
            inputs: inputs.into(),
            shape,
            normalisation: Arc::new(normalisation),
            mix,
            tensors: Arc::new(tensors),
            net,
        }
    }

    /// Names of the inputs, in order.
    #[must_use]
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// Sizes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What inputs are normalised with.
    #[must_use]
    pub fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// Weight of each task in the score.
    #[must_use]
    pub fn mix(&self) -> [f32; 3] {
        self.mix
    }

    pub(crate) fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// Scores row-major `rows × inputs`; higher is better. A row's score is the same bits whatever
    /// other rows come with it, and in whatever order. A NaN input gives a NaN score in its own row.
    ///
    /// # Panics
    /// When `inputs` is not `rows` × the number of inputs: the caller's inputs were compared with the
    /// bundle's when it was loaded.
    #[must_use]
    pub fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32> {
        let width = self.shape.inputs;
        assert_eq!(inputs.len(), rows * width, "{rows} rows of {width} inputs");
        let mut scores = Vec::with_capacity(rows);
        for block in inputs.chunks(BLOCK_ROWS * width) {
            let mut padded = Vec::with_capacity(BLOCK_ROWS * width);
            block.chunks_exact(width).for_each(|row| self.normalisation.push(row, &mut padded));
            padded.resize(BLOCK_ROWS * width, 0.0);
            let data = TensorData::new(padded, [BLOCK_ROWS, width]);
            let logits = self.net.forward(Tensor::from_data(data, &Device::flex())).into_data();
            let logits = logits.as_slice::<f32>().expect("the device computes in f32");
            let mix = |row: &[f32]| row.iter().zip(&self.mix).map(|(l, w)| l * w).sum::<f32>();
            scores.extend(logits.chunks_exact(TASKS.len()).take(block.len() / width).map(mix));
        }
        scores
    }
}
