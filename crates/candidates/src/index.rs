//! Indexes: immutable, named by the digest of their bytes, built from what was known at a cut.

use std::collections::BTreeMap;
use std::sync::Arc;

/// An item with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Ordinal of the item in [`Catalogue`].
    pub item: u32,
    /// Score, finite; higher is better.
    pub score: f64,
}

/// Items known at a cut, sorted by id, so that an item has a dense ordinal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Ids, ascending; the ordinal is the place.
    pub ids: Vec<Arc<str>>,
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
#[derive(Debug, Clone)]
pub struct Indexes {
    /// Only sessions that ended before this were used, in microseconds since the epoch.
    pub cut_us: i64,
    /// Digest of the bytes.
    pub digest: [u8; 32],
    /// Log positions that the build had read, by (topic, partition): the first offset not read.
    pub positions: BTreeMap<(String, u32), u64>,
    /// Items.
    pub catalogue: Arc<Catalogue>,
}

impl Indexes {
    /// Builds from sessions that ended before `cut_us`; others are ignored.
    #[must_use]
    pub fn build(
        cut_us: i64,
        positions: BTreeMap<(String, u32), u64>,
        sessions: impl IntoIterator<Item = Session>,
    ) -> Self {
        let _ = (cut_us, positions, sessions.into_iter().count());
        unimplemented!()
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        unimplemented!()
    }
}
