//! Choosing the best.

/// What is answered and what is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection<C> {
    /// In the order of the answer.
    pub selected: Vec<C>,
    /// In no stated order.
    pub rest: Vec<C>,
}

/// The `k` with the greatest scores, best first. Ties and candidates without a score keep their order;
/// those without one, and those whose score is NaN, come last.
#[must_use]
pub fn top_k<C>(candidates: Vec<C>, k: usize, score: impl Fn(&C) -> Option<f32>) -> Selection<C> {
    let mut ranked: Vec<(Option<f32>, usize, C)> = candidates
        .into_iter()
        .enumerate()
        .map(|(place, candidate)| {
            let score = score(&candidate).filter(|score| !score.is_nan());
            (score, place, candidate)
        })
        .collect();
    // -inf is a score: it comes before what has none.
    ranked.sort_by(|a, b| {
        let by_score = match (a.0, b.0) {
            (Some(a), Some(b)) => b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        by_score.then(a.1.cmp(&b.1))
    });
    let mut ordered = ranked.into_iter().map(|(_, _, candidate)| candidate);
    Selection { selected: ordered.by_ref().take(k).collect(), rest: ordered.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_nothing_come_last_in_their_order() {
        let scores =
            [None, Some(1.0), Some(f32::NAN), Some(2.0), Some(1.0), Some(f32::NEG_INFINITY)];
        let candidates: Vec<usize> = (0..scores.len()).collect();
        let all = top_k(candidates.clone(), 9, |at| scores[*at]);
        assert_eq!(all.selected, [3, 1, 4, 5, 0, 2]);
        let some = top_k(candidates, 2, |at| scores[*at]);
        assert_eq!((some.selected, some.rest), (vec![3, 1], vec![4, 5, 0, 2]));
    }
}
