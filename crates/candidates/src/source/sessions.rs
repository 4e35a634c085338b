//! What visitors with similar sessions looked at: session-based nearest neighbours.
//!
//! After V-SkNN (Ludewig and Jannach, 2018) and STAN (Garg et al., 2019): neighbours share recent
//! items with the visitor, weighted by recency and rarity; an item counts more the nearer it lies to
//! the item that both sessions share.

use super::anchors::anchors;
use super::tally::Tally;
use crate::index::{Indexes, Scored, SessionIndex};
use crate::source::Query;

pub(super) const NAME: &str = "sessions";
/// Neighbours whose items count.
const NEIGHBOURS_MAX: usize = 200;
const DECAY: f64 = 0.6;
/// Age of a session at the cut at which it counts half, in microseconds.
const HALF_LIFE_US: f64 = 14.0 * 86_400.0 * 1_000_000.0;
/// Distance in items from the shared item at which an item counts 1/e.
const REACH: f64 = 5.0;

/// A past session that shares items with the visitor.
struct Neighbour {
    session: u32,
    similarity: f64,
    /// The newest item that the visitor has in common with it.
    shared: u32,
}

/// Σ over neighbours of similarity · nearness to the shared item, which counts itself: visitors come
/// back to what they share.
pub(super) fn score(indexes: &Indexes, query: &Query) -> Vec<Scored> {
    let sessions = &indexes.sessions;
    let mut tally = Tally::default();
    for neighbour in neighbours(indexes, query) {
        let items = sessions.items(neighbour.session);
        let shared = items.iter().position(|item| *item == neighbour.shared);
        let shared = shared.expect("the inverted index lists sessions that hold the item");
        for (place, item) in items.iter().enumerate() {
            let nearness = libm::exp(-(place.abs_diff(shared) as f64) / REACH);
            tally.add(*item, neighbour.similarity * nearness);
        }
    }
    tally.into_scored()
}

/// The nearest sessions, nearest first, ties by recency.
fn neighbours(indexes: &Indexes, query: &Query) -> Vec<Neighbour> {
    let sessions = &indexes.sessions;
    let mut places = hashbrown::HashMap::<u32, u32>::new();
    let mut found: Vec<Neighbour> = Vec::new();
    for anchor in anchors(indexes, query, DECAY) {
        let weight = anchor.weight * rarity(sessions, anchor.item);
        for session in sessions.with_item(anchor.item) {
            let next = found.len() as u32;
            let place = *places.entry(*session).or_insert(next);
            if place == next {
                let (session, shared) = (*session, anchor.item);
                found.push(Neighbour { session, similarity: weight, shared });
            } else {
                found[place as usize].similarity += weight;
            }
        }
    }
    for neighbour in &mut found {
        let age_us = indexes.cut_us.saturating_sub(sessions.end_us(neighbour.session)).max(0);
        let length = sessions.items(neighbour.session).len() as f64;
        neighbour.similarity *= libm::exp2(-(age_us as f64) / HALF_LIFE_US) / length.sqrt();
    }
    let nearest_first = |a: &Neighbour, b: &Neighbour| {
        b.similarity.total_cmp(&a.similarity).then(a.session.cmp(&b.session))
    };
    if found.len() > NEIGHBOURS_MAX {
        found.select_nth_unstable_by(NEIGHBOURS_MAX, nearest_first);
        found.truncate(NEIGHBOURS_MAX);
    }
    found.sort_unstable_by(nearest_first);
    found
}

/// Inverse document frequency: a rare item in common says more.
fn rarity(sessions: &SessionIndex, item: u32) -> f64 {
    let support = f64::from(sessions.support(item).max(1));
    libm::log(1.0 + sessions.len() as f64 / support)
}
