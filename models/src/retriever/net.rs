//! The two towers as a Burn module.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Int, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tensors::{self, Tensors};

/// Item vectors (normalised when used) and the visitor's linear layer.
#[derive(Module, Debug)]
pub(super) struct Towers {
    items: Param<Tensor<2>>,
    visitor: Linear,
}

impl Towers {
    /// Random item vectors; the visitor tower starts as the identity, so that the first query is the
    /// interest vector itself.
    pub(super) fn new(items: usize, dimension: usize, seed: u64, device: &Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values: Vec<f32> =
            (0..items * dimension).map(|_| rng.random_range(-1.0..1.0)).collect();
        let identity: Vec<f32> = (0..dimension * dimension)
            .map(|at| if at % (dimension + 1) == 0 { 1.0 } else { 0.0 })
            .collect();
        let visitor = Linear {
            weight: Param::from_data(TensorData::new(identity, [dimension, dimension]), device),
            bias: Some(Param::from_data(
                TensorData::new(vec![0.0_f32; dimension], [dimension]),
                device,
            )),
        };
        Self {
            items: Param::from_data(TensorData::new(values, [items, dimension]), device),
            visitor,
        }
    }

    /// Cosines of each position's query with each of `among`.
    ///
    /// `history` is `[positions · length]` ordinals, `weights` `[positions, length]` with 0 where there
    /// is no event, `among` `[items]` ordinals or `None` for all; the result is `[positions, items]`.
    pub(super) fn forward(
        &self,
        history: Tensor<1, Int>,
        weights: Tensor<2>,
        among: Option<Tensor<1, Int>>,
    ) -> Tensor<2> {
        let [positions, length] = weights.dims();
        let items = unit(self.items.val());
        let dimension = items.dims()[1];
        let seen = items.clone().select(0, history).reshape([positions, length, dimension]);
        let interest = (seen * weights.reshape([positions, length, 1])).sum_dim(1);
        let interest = unit(interest.reshape([positions, dimension]));
        let query = unit(self.visitor.forward(interest));
        let among = match among {
            Some(ordinals) => items.select(0, ordinals),
            None => items,
        };
        query.matmul(among.transpose())
    }

    /// The weights as plain numbers, under the names that files use.
    pub(super) fn tensors(&self) -> Tensors {
        let bias = self.visitor.bias.as_ref().expect("built with a bias");
        Tensors::from([
            ("items.weight".to_owned(), plain(self.items.val())),
            ("visitor.weight".to_owned(), plain(self.visitor.weight.val().transpose())),
            ("visitor.bias".to_owned(), plain(bias.val())),
        ])
    }
}

/// Rows to length 1.
fn unit(rows: Tensor<2>) -> Tensor<2> {
    let length = rows.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    rows / length
}

fn plain<const D: usize>(tensor: Tensor<D>) -> tensors::Tensor {
    let shape = tensor.dims().to_vec();
    let values = tensor.into_data().try_into_vec().expect("the device computes in f32");
    tensors::Tensor { values, shape }
}
