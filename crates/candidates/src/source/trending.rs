//! What everyone looked at lately, before the cut.

use crate::index::{Indexes, Scored};

pub(super) const NAME: &str = "trending";

/// The head of the trending list.
pub(super) fn score(indexes: &Indexes, limit: usize) -> Vec<Scored> {
    indexes.trending.iter().take(limit).copied().collect()
}
