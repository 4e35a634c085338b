//! Item vectors in the order of a catalogue, so that a search is one pass over one array.

use fold::Embedding;

use crate::index::Catalogue;

/// Partial sums of a dot product; a fixed number, so that a score is one order of operations.
const LANES: usize = 16;

/// The vectors of a catalogue's items under one embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// Digest of the embedding.
    pub digest: [u8; 32],
    dimension: usize,
    /// Ordinals of the items that have a vector, ascending.
    items: Vec<u32>,
    /// Their vectors, one after the other.
    elements: Vec<f32>,
}

impl Vectors {
    /// Aligns an embedding with a catalogue; items without a vector are left out.
    #[must_use]
    pub fn align(catalogue: &Catalogue, embedding: &dyn Embedding) -> Self {
        let dimension = embedding.dimension();
        let mut items = Vec::with_capacity(catalogue.len());
        let mut elements = Vec::with_capacity(catalogue.len() * dimension);
        for (ordinal, id) in (0u32..).zip(&catalogue.ids) {
            if let Some(vector) = embedding.vector(id).filter(|vector| vector.len() == dimension) {
                items.push(ordinal);
                elements.extend_from_slice(vector);
            }
        }
        Self { digest: embedding.digest(), dimension, items, elements }
    }

    /// Length of each vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// (item, dot product with `query`) for every item that has a vector, by ordinal. Nothing if the
    /// query has another length.
    pub(crate) fn dots<'a>(&'a self, query: &'a [f32]) -> impl Iterator<Item = (u32, f64)> + 'a {
        let vectors = self.elements.chunks_exact(self.dimension.max(1));
        let fits = query.len() == self.dimension;
        self.items
            .iter()
            .copied()
            .zip(vectors)
            .filter(move |_| fits)
            .map(|(item, vector)| (item, dot(query, vector)))
    }
}

/// A dot product in a fixed order: [`LANES`] partial sums in f32 (the compiler may use vector
/// instructions, but neither fuses nor reorders), then their sum in f64 from the first to the last.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f32; LANES];
    let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut left).zip(&mut right) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest = left.remainder().iter().zip(right.remainder());
    rest.zip(&mut sums).for_each(|((a, b), sum)| *sum += a * b);
    sums.iter().map(|sum| f64::from(*sum)).sum()
}

#[cfg(test)]
mod tests {
    use super::dot;

    #[test]
    fn a_dot_product_counts_every_element_once() {
        for length in [1, 15, 16, 17, 64, 70] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let expected: f64 = (0..length).map(|i| f64::from(i * i)).sum();
            assert_eq!(dot(&a, &a), expected, "length {length}");
        }
    }
}
