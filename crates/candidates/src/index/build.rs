//! From sessions to indexes.

use std::collections::BTreeMap;

use crate::index::{
    Indexes, Interned, Scored, Session, SessionIndex, association_rules, codec, sequential_rules,
};

/// Recency weights are integers in this unit, so that sums do not depend on their order.
const WEIGHT_ONE: f64 = 65_536.0;

/// Bounds and half-lives of a build; every bound is a number of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Neighbours kept per item.
    pub neighbours_max: usize,
    /// Items of a session that count: the last ones.
    pub session_items_max: usize,
    /// Distinct items that the session index keeps of a session: the last ones.
    pub indexed_items_max: usize,
    /// Sessions in the session index: the most recent ones.
    pub sessions_max: usize,
    /// Sessions per item in the session index: the most recent ones.
    pub postings_max: usize,
    /// Items in the trending list.
    pub trending_max: usize,
    /// Age at which a session counts half in the rules, in microseconds.
    pub rules_half_life_us: i64,
    /// Age at which a session counts half in the trending list, in microseconds.
    pub trending_half_life_us: i64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY_US: i64 = 24 * 3600 * 1_000_000;
        Self {
            neighbours_max: 100,
            session_items_max: 200,
            indexed_items_max: 50,
            sessions_max: 1_000_000,
            postings_max: 500,
            trending_max: 1_000,
            rules_half_life_us: 14 * DAY_US,
            trending_half_life_us: 2 * DAY_US,
        }
    }
}

pub(super) fn build(
    settings: Settings,
    cut_us: i64,
    positions: BTreeMap<(String, u32), u64>,
    sessions: impl IntoIterator<Item = Session>,
) -> Indexes {
    let closed = sessions.into_iter().filter(|session| session.end_us < cut_us);
    let sessions = Interned::new(closed, settings.session_items_max);
    let weights = |half_life_us: i64| -> Vec<u64> {
        sessions.end_us.iter().map(|end_us| weight(cut_us, *end_us, half_life_us)).collect()
    };
    let rules_weights = weights(settings.rules_half_life_us);
    let mut indexes = Indexes {
        cut_us,
        digest: [0; 32],
        positions,
        catalogue: sessions.catalogue.clone(),
        covisit: association_rules(&sessions, &rules_weights, settings.neighbours_max),
        sequential: sequential_rules(&sessions, &rules_weights, settings.neighbours_max),
        sessions: SessionIndex::build(
            &sessions,
            settings.sessions_max,
            settings.indexed_items_max,
            settings.postings_max,
        ),
        trending: trending(
            &sessions,
            &weights(settings.trending_half_life_us),
            settings.trending_max,
        ),
    };
    indexes.digest = codec::digest(&indexes);
    indexes
}

/// What a session counts by its age at the cut; never nothing.
fn weight(cut_us: i64, end_us: i64, half_life_us: i64) -> u64 {
    let age_us = cut_us.saturating_sub(end_us).max(0);
    let share = libm::exp2(-(age_us as f64) / half_life_us as f64);
    (libm::rint(share * WEIGHT_ONE) as u64).max(1)
}

fn trending(sessions: &Interned, weights: &[u64], kept: usize) -> Vec<Scored> {
    let mut sums = vec![0u64; sessions.catalogue.len()];
    for (session, weight) in weights.iter().enumerate() {
        for item in sessions.session(session) {
            sums[*item as usize] += weight;
        }
    }
    let mut ranked: Vec<(u64, u32)> = sums.into_iter().zip(0..).collect();
    ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    ranked.truncate(kept);
    ranked.into_iter().map(|(sum, item)| Scored { item, score: sum as f64 / WEIGHT_ONE }).collect()
}
