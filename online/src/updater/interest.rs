//! Interest vectors beside the states: a pure function of a visitor's sequence and an embedding.
//!
//! They are written for other readers of the store, such as any Redis client. The service reads none of
//! them: it computes the same vector from the sequence that it reads anyway, with the embedding of the
//! bundle that it answers with, which is what a replay can do as well.
//!
//! A visitor's vector is written with each commit that changes the visitor while the embedding is
//! active. So it is missing for visitors who did nothing since then, and vectors of a retired embedding
//! stay until their visitor's next event (for the last few retired ones; those of older ones stay).

use std::collections::VecDeque;
use std::sync::Arc;

use definitions::{Lane, Operation};
use fold::{Changes, Embedding, Error, Plan, StateKey, Value};

/// Embeddings of earlier bundles whose vectors are still removed when their visitor's state changes.
const RETIRED_MAX: usize = 4;

/// The embeddings that vectors are written for.
#[derive(Clone, Default)]
pub(super) struct Embeddings {
    pub(super) active: Vec<Arc<dyn Embedding>>,
    retired: VecDeque<[u8; 32]>,
}

impl Embeddings {
    /// `active` in the place of these; those that are gone are retired.
    pub(super) fn replaced(&self, active: Vec<Arc<dyn Embedding>>) -> Self {
        let kept = |digest: &[u8; 32]| active.iter().any(|embedding| embedding.digest() == *digest);
        let gone = self.active.iter().map(|embedding| embedding.digest());
        let mut retired: VecDeque<_> = self.retired.iter().copied().chain(gone).collect();
        retired.retain(|digest| !kept(digest));
        while retired.len() > RETIRED_MAX {
            retired.pop_front();
        }
        Self { active, retired }
    }
}

/// Key of a visitor's vector among a (lane, partition)'s derived values: the state's own key, the
/// feature's place in the lane, and the beginning of the embedding's digest.
#[must_use]
pub fn vector_key(state: &StateKey, feature: usize, digest: &[u8; 32]) -> Vec<u8> {
    let feature = u16::try_from(feature).expect("a lane has fewer than 65,536 features");
    let mut key = state.as_bytes().to_vec();
    key.extend_from_slice(&feature.to_be_bytes());
    key.extend_from_slice(&digest[..8]);
    key
}

/// A vector's bytes: its elements, little-endian.
#[must_use]
pub fn encode_vector(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|element| element.to_le_bytes()).collect()
}

/// Reads [`encode_vector`]'s bytes; `None`: they are no vector of `dimension` elements.
#[must_use]
pub fn decode_vector(bytes: &[u8], dimension: usize) -> Option<Vec<f32>> {
    let elements = bytes.chunks_exact(4);
    (bytes.len() == dimension * 4)
        .then(|| elements.map(|e| f32::from_le_bytes([e[0], e[1], e[2], e[3]])).collect())
}

/// Derived values of a commit: `None` removes the key.
type Derived = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The vectors of every changed entity, for each active embedding; a visitor who is gone, or of
/// whose items the embedding knows none, has none.
pub(super) fn derived(
    lane: &Lane,
    plan: &Arc<Plan>,
    changes: &Changes,
    embeddings: &Embeddings,
) -> Result<Derived, Error> {
    let features: Vec<usize> = (0..lane.features.len())
        .filter(|i| matches!(lane.features[*i].operation, Operation::InterestVector { .. }))
        .collect();
    let mut derived = Vec::new();
    if features.is_empty() || (embeddings.active.is_empty() && embeddings.retired.is_empty()) {
        return Ok(derived);
    }
    for (key, bytes) in &changes.states {
        if key.entity_key(lane).is_none() {
            continue;
        }
        let state = bytes.as_deref().map(|bytes| plan.decode(bytes)).transpose()?;
        for embedding in &embeddings.active {
            // At its own greatest time: the vector does not change between events.
            let values = state
                .as_ref()
                .map(|state| state.values_at(state.greatest(), Some(embedding.as_ref())));
            for &feature in &features {
                let vector = values.as_ref().and_then(|values| match &values[feature] {
                    Value::Vector(vector) => Some(encode_vector(vector)),
                    _ => None,
                });
                derived.push((vector_key(key, feature, &embedding.digest()), vector));
            }
        }
        for digest in &embeddings.retired {
            derived.extend(features.iter().map(|f| (vector_key(key, *f, digest), None)));
        }
    }
    Ok(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(u8);

    impl Embedding for Named {
        fn digest(&self) -> [u8; 32] {
            [self.0; 32]
        }
        fn dimension(&self) -> usize {
            2
        }
        fn vector(&self, _: &str) -> Option<&[f32]> {
            None
        }
    }

    #[test]
    fn vectors_round_trip_and_torn_ones_are_refused() {
        let bytes = encode_vector(&[1.5, -0.25]);
        assert_eq!(decode_vector(&bytes, 2), Some(vec![1.5, -0.25]));
        assert_eq!(decode_vector(&bytes[..7], 2), None);
        assert_eq!(decode_vector(&bytes, 1), None);
    }

    #[test]
    fn replaced_embeddings_are_retired_and_come_back() {
        let active = |n: u8| vec![Arc::new(Named(n)) as Arc<dyn Embedding>];
        let mut embeddings = Embeddings::default();
        for n in 1..=7 {
            embeddings = embeddings.replaced(active(n));
        }
        assert_eq!(embeddings.retired, [[3; 32], [4; 32], [5; 32], [6; 32]]);
        let back = embeddings.replaced(active(5));
        assert_eq!(back.retired, [[3; 32], [4; 32], [6; 32], [7; 32]]);
    }
}
