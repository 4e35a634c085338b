//! What a visitor is at: the last few distinct items, newest first, with weights.

use crate::index::Indexes;
use crate::source::Query;

/// Distinct items that are looked at.
pub(super) const ANCHORS_MAX: usize = 10;
/// Age against the newest event at which an item counts half, in microseconds.
const HALF_LIFE_US: f64 = 3_600.0 * 1_000_000.0;

/// An item that other items are looked up by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Anchor {
    pub(super) item: u32,
    pub(super) weight: f64,
}

/// The last distinct known items, newest first; context items come before the sequence. An item's
/// weight is `decay` to the power of its place, times its age against the newest event.
pub(super) fn anchors(indexes: &Indexes, query: &Query, decay: f64) -> Vec<Anchor> {
    let newest_us = query.sequence.last().map_or(query.as_of_us, |seen| seen.at.0);
    let context = query.context_items.iter().map(|item| (&**item, 0));
    let sequence = query
        .sequence
        .iter()
        .rev()
        .map(|seen| (&*seen.item, newest_us.saturating_sub(seen.at.0).max(0)));
    let mut anchors: Vec<Anchor> = Vec::with_capacity(ANCHORS_MAX);
    let mut place_weight = 1.0;
    for (item, age_us) in context.chain(sequence) {
        if anchors.len() == ANCHORS_MAX {
            break;
        }
        let Some(item) = indexes.catalogue.ordinal(item) else { continue };
        if anchors.iter().any(|anchor| anchor.item == item) {
            continue;
        }
        let weight = place_weight * libm::exp2(-(age_us as f64) / HALF_LIFE_US);
        anchors.push(Anchor { item, weight });
        place_weight *= decay;
    }
    anchors
}
