//! The online store: a port with two adapters, [`Embedded`] and [`Redis`].
//!
//! A crate of its own because nobody else may know which store is behind the port. It never reads a
//! state's bytes: it keeps them beside a head that it compares and swaps. Both adapters pass the same
//! [`conformance`] suite, and the port promises only what Redis Cluster can give too: one lane in one
//! partition is one hash tag, committed and read in one atomic call; nothing spans two of them.
//!
//! Start with [`OnlineStore`] and [`Commit`].

pub mod conformance;
mod embedded;
mod limits;
mod redis;

use async_trait::async_trait;
use record::{LaneId, Offset, Partition};

pub use ::embedded::JournalId;

pub use crate::embedded::{Embedded, Settings};
pub use crate::redis::{
    BreakerState, Breakers, Memory, PlainSets, Redis, Settings as RedisSettings,
    SettingsError as RedisSettingsError,
};

/// The largest key that any store takes, in bytes. An adapter refuses more by itself, so that what
/// went into one store goes into the other; so for [`VALUE_BYTES_MAX`].
pub const KEY_BYTES_MAX: usize = 16 << 10;
/// The largest state, derived value or head, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Random token of one claim of a (lane, partition): a restored copy cannot revive a zombie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerToken(pub [u8; 16]);

/// The head as stored: the position that compare-and-swap looks at, and the fold's own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// First offset that the states do not cover.
    pub next: Offset,
    /// The fold's head, opaque here.
    pub bytes: Vec<u8>,
}

/// One commit of one (lane, partition): all or nothing.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Lane.
    pub lane: LaneId,
    /// Partition.
    pub partition: Partition,
    /// Who commits; must be the last claimer.
    pub owner: OwnerToken,
    /// Position that the states were computed from; `None`: nothing is stored yet.
    pub expected: Option<Offset>,
    /// The head after it.
    pub head: StoredHead,
    /// Changed states; `None` removes the key.
    pub states: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Derived values (such as interest vectors), written with the states but part of no digest.
    pub derived: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Written.
    Committed,
    /// The stored position is the commit's own next one already: its reply had been lost.
    AlreadyCommitted,
    /// The stored position is neither: reload and replay from it.
    Moved {
        /// What is stored.
        stored: Option<Offset>,
    },
    /// Another owner has claimed the (lane, partition) since.
    Fenced,
}

/// States read together with the head that they equal the recomputation at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The head; `None`: nothing was ever committed.
    pub head: Option<StoredHead>,
    /// One per key asked for, in order.
    pub values: Vec<Option<Vec<u8>>>,
}

/// Some states of a (lane, partition), with the head that they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The head; `None`: nothing was ever committed, and there are no states.
    pub head: Option<StoredHead>,
    /// Keys and their states.
    pub states: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the next page begins; `None`: this was the last one.
    pub next: Option<Vec<u8>>,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not done, or not known to be done; trying again is safe.
    #[error("online store unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// What is stored cannot be read.
    #[error("online store holds damaged bytes at {key}: {what}")]
    Damaged {
        /// Where.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// A key or a value is larger than the store takes; nothing of its commit is written.
    #[error("{what} of {bytes} bytes, the store takes {bytes_max}")]
    TooLarge {
        /// Key, value or head.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The head moved during a scan: scan again.
    #[error("lane {lane} partition {partition} changed during the scan: try again")]
    Moved {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
    },
    /// The server is not one that states may be trusted to; nothing was written.
    #[error("online store refused: {reason}; {remedy}")]
    Unsuitable {
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The embedded database failed.
    #[error(transparent)]
    Embedded(#[from] ::embedded::Error),
}

/// The store. All methods may be called from many tasks at once.
#[async_trait]
pub trait OnlineStore: Send + Sync {
    /// The journal that commits are written to, if a log may write to it too.
    fn journal(&self) -> Option<JournalId>;

    /// Makes `owner` the only one whose commits pass, and returns the head as it stands.
    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error>;

    /// Commits. Everything is checked (owner, position) before the first write.
    ///
    /// A commit whose position stays where it is (`expected` is the head's own `next`) is written
    /// each time it is tried. Of several values for one key the last one counts.
    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error>;

    /// Head and states from one snapshot, in one call.
    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error>;

    /// Derived values of keys, from the same snapshot as their head.
    async fn read_derived(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error>;

    /// Shows every state of a (lane, partition) to `visit`, in no particular order, and returns the
    /// head that they all belong to.
    ///
    /// # Errors
    /// [`Error::Moved`] when a commit came between: what was visited is then worth nothing.
    async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn for<'k, 'v> FnMut(&'k [u8], &'v [u8]) + Send),
    ) -> Result<Option<StoredHead>, Error>;

    /// Some states of a (lane, partition), about `keys` of them, from where the page before says; the first
    /// page is `from` nothing. The pages of a walk may belong to different heads. A state that is there from its
    /// first page to its last is shown at least once, as long as the same server answers; any other may be
    /// shown or not.
    async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error>;

    /// Lanes that have a head in any partition.
    async fn lanes(&self) -> Result<Vec<LaneId>, Error>;

    /// Removes a lane from every partition (an old definition's, once nobody reads it).
    async fn remove(&self, lane: LaneId) -> Result<(), Error>;
}
