//! Items seen soon after the last ones: sequential rules, the very last item counting most.

use super::anchors::anchors;
use super::tally::Tally;
use crate::index::{Indexes, Scored};
use crate::source::Query;

pub(super) const NAME: &str = "sequential";
/// Items that are looked at: what comes next hangs on the last few steps.
const LAST_ITEMS: usize = 3;
const DECAY: f64 = 0.4;

/// Σ over the last items of weight · rule / the item's best rule.
pub(super) fn score(indexes: &Indexes, query: &Query) -> Vec<Scored> {
    let mut tally = Tally::default();
    for anchor in anchors(indexes, query, DECAY).into_iter().take(LAST_ITEMS) {
        let rules = indexes.sequential.of(anchor.item);
        let Some(best) = rules.first() else { continue };
        for rule in rules {
            tally.add(rule.item, anchor.weight * (rule.score / best.score));
        }
    }
    tally.into_scored()
}
