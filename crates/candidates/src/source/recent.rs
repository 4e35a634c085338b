//! What the visitor looked at last, newest first.

use super::anchors::ANCHORS_MAX;
use crate::index::{Indexes, Scored};
use crate::source::Query;

pub(super) const NAME: &str = "recent";
/// Distinct items given.
const ITEMS_MAX: usize = 2 * ANCHORS_MAX;

/// Distinct known items with 1 / their place, newest first.
pub(super) fn score(indexes: &Indexes, query: &Query) -> Vec<Scored> {
    let mut scored: Vec<Scored> = Vec::with_capacity(ITEMS_MAX);
    for seen in query.sequence.iter().rev() {
        if scored.len() == ITEMS_MAX {
            break;
        }
        let Some(item) = indexes.catalogue.ordinal(&seen.item) else { continue };
        if scored.iter().all(|entry| entry.item != item) {
            scored.push(Scored { item, score: 1.0 / (scored.len() + 1) as f64 });
        }
    }
    scored
}
