//! Interest vector: the decay-weighted sum of the items' vectors over a sequence, normalised, so that it
//! does not change between events.

use super::sequence::Entry;
use crate::{Embedding, Value};

/// `normalise(Σ 2^((at − newest) / half_life) · vector(item))` in f64, oldest first, cast to f32 last.
/// Ages count from the sequence's newest entry, known or not; `None` where no item is known, or their
/// vectors cancel out.
pub(super) fn read<'a>(
    entries: impl DoubleEndedIterator<Item = &'a Entry> + Clone,
    half_life_us: i64,
    embedding: &dyn Embedding,
) -> Option<Value> {
    let newest = entries.clone().next_back()?.place.at;
    let mut sum = vec![0.0f64; embedding.dimension()];
    for entry in entries {
        let Some(vector) = embedding.vector(entry.item.as_str()) else { continue };
        let age = i128::from(newest.0) - i128::from(entry.place.at.0);
        let weight = libm::exp2(-(age as f64 / half_life_us as f64));
        for (total, component) in sum.iter_mut().zip(vector) {
            *total += weight * f64::from(*component);
        }
    }
    let norm = libm::sqrt(sum.iter().fold(0.0, |norm, component| norm + component * component));
    if norm == 0.0 || !norm.is_finite() {
        return None;
    }
    // Adding 0 turns −0 into 0, after the cast too.
    Some(Value::Vector(sum.into_iter().map(|component| (component / norm) as f32 + 0.0).collect()))
}
