//! The ranker as a Burn module.

use burn::Tensor;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, TensorData};

use crate::tensors::{self, Tensors};

/// A wide linear part and a small multi-layer perceptron, summed; one output a task.
#[derive(Module, Debug)]
pub(super) struct Net {
    wide: Linear,
    hidden1: Linear,
    hidden2: Linear,
    heads: Linear,
}

impl Net {
    /// A net with the given weights; their names and shapes have been checked.
    pub(super) fn new(tensors: &Tensors, device: &Device) -> Self {
        let linear = |layer: &str| Linear {
            weight: weight(&tensors[&format!("{layer}.weight")], device),
            bias: tensors.get(&format!("{layer}.bias")).map(|t| {
                Param::from_data(TensorData::new(t.values.clone(), [t.values.len()]), device)
            }),
        };
        Self {
            wide: linear("wide"),
            hidden1: linear("hidden1"),
            hidden2: linear("hidden2"),
            heads: linear("heads"),
        }
    }

    /// `[rows, inputs]` → `[rows, tasks]`.
    pub(super) fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let hidden = relu(self.hidden1.forward(inputs.clone()));
        let hidden = relu(self.hidden2.forward(hidden));
        self.wide.forward(inputs) + self.heads.forward(hidden)
    }

    /// The weights as plain numbers.
    pub(super) fn tensors(&self) -> Tensors {
        let mut out = Tensors::new();
        let layers = [&self.wide, &self.hidden1, &self.hidden2, &self.heads];
        for (name, layer) in ["wide", "hidden1", "hidden2", "heads"].into_iter().zip(layers) {
            out.insert(format!("{name}.weight"), plain(layer.weight.val().transpose()));
            if let Some(bias) = &layer.bias {
                out.insert(format!("{name}.bias"), plain(bias.val()));
            }
        }
        out
    }
}

/// Burn's linear layer keeps `[inputs, outputs]`, files keep PyTorch's `[outputs, inputs]`.
fn weight(tensor: &tensors::Tensor, device: &Device) -> Param<Tensor<2>> {
    let [outputs, inputs] = [tensor.shape[0], tensor.shape[1]];
    let transposed = (0..inputs)
        .flat_map(|i| (0..outputs).map(move |o| tensor.values[o * inputs + i]))
        .collect();
    Param::from_data(TensorData::new::<f32, _>(transposed, [inputs, outputs]), device)
}

fn plain<const D: usize>(tensor: Tensor<D>) -> tensors::Tensor {
    let shape = tensor.dims().to_vec();
    let values = tensor.into_data().try_into_vec().expect("the device computes in f32");
    tensors::Tensor { values, shape }
}
