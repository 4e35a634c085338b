//! The two-tower retriever: item vectors, and a tower that turns a visitor's interest into a query.
//!
//! The item tower is a unit vector an item. The visitor tower takes the *interest vector* — the
//! decay-weighted sum of the items a visitor looked at, normalised — through one linear layer and
//! normalises again. An item's worth is the dot product of its vector and the query.
//!
//! Lookups and [`Retriever::query`] are plain loops, not tensors: what they give becomes candidates'
//! source scores, which are recorded, recomputed and compared byte for byte.

mod fit;
mod net;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use fit::{Error, Report};
pub use settings::Settings;

use crate::tensors::{Tensor, Tensors};

/// Item vectors and visitor tower; immutable, cheap to clone, shared between threads.
#[derive(Debug, Clone)]
pub struct Retriever {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    items: Vec<Arc<str>>,
    ordinals: HashMap<Arc<str>, u32>,
    dimension: usize,
    /// Row-major `items × dimension`, each row of length 1.
    vectors: Vec<f32>,
    /// Row-major `dimension × dimension`, `[outputs, inputs]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
    half_life_us: i64,
    trained_to_us: i64,
    digest: [u8; 32],
}

/// Names and shapes of the tensors, as PyTorch has them: `items.weight` is `nn.Embedding`'s,
/// `visitor.weight` and `visitor.bias` are `nn.Linear`'s.
pub(crate) fn shapes(items: usize, dimension: usize) -> BTreeMap<String, Vec<usize>> {
    let named = [
        ("items.weight", vec![items, dimension]),
        ("visitor.weight", vec![dimension, dimension]),
        ("visitor.bias", vec![dimension]),
    ];
    named.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
}

impl Retriever {
    /// From parts whose shapes have been checked against [`shapes`]. Item vectors are normalised.
    pub(crate) fn new(
        items: Vec<Arc<str>>,
        mut tensors: Tensors,
        half_life_us: i64,
        trained_to_us: i64,
    ) -> Self {
        let mut take = |name: &str| tensors.remove(name).expect("shapes were checked");
        let Tensor { values: mut vectors, shape } = take("items.weight");
        let (weight, bias) = (take("visitor.weight").values, take("visitor.bias").values);
        let dimension = shape[1];
        vectors.chunks_exact_mut(dimension).for_each(normalise);
        let mut hasher = blake3::Hasher::new_derive_key("twofold 2026 retriever v1");
        let length = |n: usize| (n as u64).to_le_bytes();
        hasher.update(&length(dimension)).update(&length(items.len()));
        hasher.update(&half_life_us.to_le_bytes());
        for item in &items {
            hasher.update(&length(item.len())).update(item.as_bytes());
        }
        for value in vectors.iter().chain(&weight).chain(&bias) {
            hasher.update(&value.to_le_bytes());
        }
        let ordinals = items.iter().cloned().zip(0..).collect();
        let digest = hasher.finalize().into();
        let parts = Parts {
            items,
            ordinals,
            dimension,
            vectors,
            weight,
            bias,
            half_life_us,
            trained_to_us,
            digest,
        };
        Self { parts: Arc::new(parts) }
    }

    /// Items that have a vector, ascending by id.
    #[must_use]
    pub fn items(&self) -> &[Arc<str>] {
        &self.parts.items
    }

    /// Length of each vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.parts.dimension
    }

    /// Identity: BLAKE3 over the items, their vectors, the visitor tower and the half-life.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.parts.digest
    }

    /// Half-life of an event's weight in the interest vectors it was trained with, in microseconds.
    #[must_use]
    pub fn half_life_us(&self) -> i64 {
        self.parts.half_life_us
    }

    /// Time of the last event that it knows, in microseconds since the epoch.
    #[must_use]
    pub fn trained_to_us(&self) -> i64 {
        self.parts.trained_to_us
    }

    /// An item's vector, of length 1; `None` for an item that training did not see.
    #[must_use]
    pub fn vector(&self, item: &str) -> Option<&[f32]> {
        let ordinal = *self.parts.ordinals.get(item)? as usize;
        let dimension = self.parts.dimension;
        Some(&self.parts.vectors[ordinal * dimension..(ordinal + 1) * dimension])
    }

    /// All vectors, row-major `items × dimension`, in the order of [`Retriever::items`].
    #[must_use]
    pub fn vectors(&self) -> &[f32] {
        &self.parts.vectors
    }

    /// The visitor tower: an interest vector to a query of length 1. The sums go in one order, without
    /// fused operations, so any machine gives the same bits.
    ///
    /// # Panics
    /// When the vector is not [`Retriever::dimension`] long.
    #[must_use]
    pub fn query(&self, interest: &[f32]) -> Vec<f32> {
        let dimension = self.parts.dimension;
        assert_eq!(interest.len(), dimension, "an interest vector of this embedding");
        let rows = self.parts.weight.chunks_exact(dimension).zip(&self.parts.bias);
        let mut query: Vec<f32> = rows
            .map(|(row, bias)| row.iter().zip(interest).fold(*bias, |sum, (w, x)| sum + w * x))
            .collect();
        normalise(&mut query);
        query
    }

    pub(crate) fn tensors(&self) -> Tensors {
        let parts = &self.parts;
        let values = [
            ("items.weight", &parts.vectors),
            ("visitor.weight", &parts.weight),
            ("visitor.bias", &parts.bias),
        ];
        let mut shapes = shapes(parts.items.len(), parts.dimension);
        let tensor = |(name, values): (&str, &Vec<f32>)| {
            let shape = shapes.remove(name).expect("every tensor has a shape");
            (name.to_owned(), Tensor { values: values.clone(), shape })
        };
        values.into_iter().map(tensor).collect()
    }
}

/// To length 1; a vector of length 0 stays.
///
/// Idempotent to the bit: a vector whose length rounds to 1 is left alone, so that vectors that were
/// saved after normalising have the same digest when they are loaded.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    if length > 0.0 && (length - 1.0).abs() > 1e-6 {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
}
