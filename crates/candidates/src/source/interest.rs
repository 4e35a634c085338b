//! Items whose vectors lie nearest to the visitor's: every one is compared, none is approximated.

use crate::Vectors;
use crate::index::Scored;
use crate::source::Query;

pub(super) const NAME: &str = "interest";

/// Dot products of the query with the item vectors: the best `limit` in any order.
pub(super) fn score(vectors: Option<&Vectors>, query: &Query, limit: usize) -> Vec<Scored> {
    let (Some(vectors), Some(interest)) = (vectors, &query.interest) else { return Vec::new() };
    // Twice as many as wanted are held, so that the cut is amortised.
    let held_max = limit.saturating_mul(2).max(1);
    let mut best: Vec<Scored> = Vec::with_capacity(held_max);
    let mut floor = f64::NEG_INFINITY;
    for (item, score) in vectors.dots(interest) {
        // Ordinals ascend, so a tie with the floor loses.
        if score <= floor || score.is_nan() {
            continue;
        }
        best.push(Scored { item, score });
        if best.len() == held_max {
            best.select_nth_unstable_by(limit, |a, b| {
                b.score.total_cmp(&a.score).then(a.item.cmp(&b.item))
            });
            best.truncate(limit);
            floor = best.iter().map(|entry| entry.score).fold(f64::INFINITY, f64::min);
        }
    }
    best
}
