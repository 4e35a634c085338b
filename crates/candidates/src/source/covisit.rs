//! Items seen in the same sessions as the recent ones: association rules summed over them.

use super::anchors::anchors;
use super::tally::Tally;
use crate::index::{Indexes, Scored};
use crate::source::Query;

pub(super) const NAME: &str = "covisit";
const DECAY: f64 = 0.7;

/// Σ over recent items of weight · rule / the item's best rule.
pub(super) fn score(indexes: &Indexes, query: &Query) -> Vec<Scored> {
    let mut tally = Tally::default();
    for anchor in anchors(indexes, query, DECAY) {
        let rules = indexes.covisit.of(anchor.item);
        let Some(best) = rules.first() else { continue };
        for rule in rules {
            tally.add(rule.item, anchor.weight * (rule.score / best.score));
        }
    }
    tally.into_scored()
}
