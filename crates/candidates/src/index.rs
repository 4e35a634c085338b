//! Indexes: immutable, named by the digest of their bytes, built from what was known at a cut.
//!
//! All counts are integers (weights are fixed point), so the order of the sessions cannot change a
//! bit, and ties are broken by item id, which is the order of ordinals.

mod adjacency;
mod build;
mod codec;
mod interned;
mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use adjacency::Adjacency;
pub(crate) use adjacency::{association_rules, sequential_rules};
pub use build::Settings;
pub(crate) use interned::Interned;
pub use sessions::SessionIndex;

/// An item with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Ordinal of the item in [`Catalogue`].
    pub item: u32,
    /// Score, finite; higher is better.
    pub score: f64,
}

/// Items known at a cut, sorted by id, so that an item has a dense ordinal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Ids, ascending; the ordinal is the place.
    pub ids: Vec<Arc<str>>,
    by_id: hashbrown::HashMap<Arc<str>, u32>,
}

/// One session that indexes are built from: items in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Items in the total order.
    pub items: Vec<Arc<str>>,
    /// Time of the last event, in microseconds since the epoch.
    pub end_us: i64,
}

/// Every index of a cut; the bundle of what candidate sources look up.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexes {
    /// Only sessions that ended before this were used, in microseconds since the epoch.
    pub cut_us: i64,
    /// BLAKE3 of the bytes, without the checksum that ends them.
    pub digest: [u8; 32],
    /// Log positions that the build had read, by (topic, partition): the first offset not read.
    pub positions: BTreeMap<(String, u32), u64>,
    /// Items.
    pub catalogue: Arc<Catalogue>,
    /// Items seen in one session, by item (association rules).
    pub covisit: Adjacency,
    /// Items seen soon after, by item (sequential rules).
    pub sequential: Adjacency,
    /// Sessions and where each item occurs in them.
    pub sessions: SessionIndex,
    /// Recency-weighted counts, best first, bounded.
    pub trending: Vec<Scored>,
}

impl Catalogue {
    /// The catalogue of these ids, in any order, with repetitions.
    #[must_use]
    pub fn new(ids: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut ids: Vec<Arc<str>> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let by_id = ids.iter().enumerate().map(|(at, id)| (id.clone(), at as u32)).collect();
        Self { ids, by_id }
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The ordinal of an item.
    #[must_use]
    pub fn ordinal(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The id of an ordinal.
    ///
    /// # Panics
    /// When the ordinal is another catalogue's.
    #[must_use]
    pub fn id(&self, ordinal: u32) -> &Arc<str> {
        &self.ids[ordinal as usize]
    }
}

impl Indexes {
    /// Builds from sessions that ended before `cut_us`; others are ignored.
    #[must_use]
    pub fn build(
        cut_us: i64,
        positions: BTreeMap<(String, u32), u64>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Self {
        build::build(Settings::default(), cut_us, positions, sessions)
    }

    /// Builds with other bounds and half-lives than the default ones.
    #[must_use]
    pub fn build_with(
        settings: Settings,
        cut_us: i64,
        positions: BTreeMap<(String, u32), u64>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Self {
        build::build(settings, cut_us, positions, sessions)
    }

    /// The digest as it is written in names: lower-case hex.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Canonical bytes: equal indexes have equal bytes. They end with a checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads [`Indexes::encode`]'s bytes.
    ///
    /// # Errors
    /// Another version, or damaged bytes; never a panic, whatever the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, crate::Error> {
        codec::decode(bytes)
    }
}

#[cfg(test)]
mod tests;
