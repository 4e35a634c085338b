//! Item → items with scores: what co-visitation and sequential rules come down to.
//!
//! The rules are those of session-rec (Ludewig and Jannach, "Evaluation of session-based
//! recommendation algorithms", 2018; `algorithms/baselines/ar.py` and `sr.py`), self-pairs kept.

use crate::index::{Interned, Scored};

/// Least common multiple of 1 to 10: `1 / distance` is an integer in this unit.
const DISTANCE_UNIT: u64 = 2520;
/// Greatest distance that sequential rules look over.
pub(crate) const STEPS: usize = 10;

/// For each item at most so many others with scores, best first, ties by item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adjacency {
    /// One more than there are items: bounds into `entries`.
    pub(super) bounds: Vec<u32>,
    pub(super) entries: Vec<Scored>,
}

impl Adjacency {
    /// An item's neighbours, best first; none for an ordinal of another catalogue.
    #[must_use]
    pub fn of(&self, item: u32) -> &[Scored] {
        let at = item as usize;
        match (self.bounds.get(at), self.bounds.get(at + 1)) {
            (Some(from), Some(to)) => &self.entries[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

/// Association rules: one per ordered pair of different places in a session, times its weight.
pub(crate) fn association_rules(sessions: &Interned, weights: &[u64], kept: usize) -> Adjacency {
    rules(sessions, kept, 1.0, |tally, session, place| {
        let items = sessions.session(session);
        for (other, item) in items.iter().enumerate() {
            if other != place {
                tally.add(*item, weights[session]);
            }
        }
    })
}

/// Sequential rules: `1 / distance` per item at most [`STEPS`] later in a session, times its weight.
pub(crate) fn sequential_rules(sessions: &Interned, weights: &[u64], kept: usize) -> Adjacency {
    rules(sessions, kept, DISTANCE_UNIT as f64, |tally, session, place| {
        let later = &sessions.session(session)[place + 1..];
        for (distance, item) in (1..=STEPS).zip(later) {
            tally.add(*item, weights[session] * (DISTANCE_UNIT / distance as u64));
        }
    })
}

/// Sums per item in integers; dense, so that it costs no hashing and its size is known.
struct Tally {
    sums: Vec<u64>,
    touched: Vec<u32>,
}

impl Tally {
    fn add(&mut self, item: u32, amount: u64) {
        let sum = &mut self.sums[item as usize];
        if *sum == 0 {
            self.touched.push(item);
        }
        *sum += amount;
    }
}

fn rules(
    sessions: &Interned,
    kept: usize,
    unit: f64,
    mut count: impl FnMut(&mut Tally, usize, usize),
) -> Adjacency {
    let (bounds, places) = sessions.places();
    let mut tally = Tally { sums: vec![0; sessions.catalogue.len()], touched: Vec::new() };
    let mut result = Adjacency { bounds: vec![0], entries: Vec::new() };
    let mut ranked: Vec<(u64, u32)> = Vec::new();
    for span in bounds.windows(2) {
        for (session, place) in &places[span[0]..span[1]] {
            count(&mut tally, *session as usize, *place as usize);
        }
        ranked.clear();
        ranked.extend(tally.touched.drain(..).map(|item| (tally.sums[item as usize], item)));
        for (_, item) in &ranked {
            tally.sums[*item as usize] = 0;
        }
        let best_first = |a: &(u64, u32), b: &(u64, u32)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
        if ranked.len() > kept {
            ranked.select_nth_unstable_by(kept, best_first);
            ranked.truncate(kept);
        }
        ranked.sort_unstable_by(best_first);
        let scored =
            ranked.iter().map(|(sum, item)| Scored { item: *item, score: *sum as f64 / unit });
        result.entries.extend(scored);
        result.bounds.push(result.entries.len() as u32);
    }
    result
}
