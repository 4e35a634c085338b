//! The store in Redis: one server, or a Redis Cluster.
//!
//! # What is stored, for any Redis client to read
//! One hash per (lane, partition), named `twofold:1:{LANE:PARTITION}` (the lane as 16 hexadecimal
//! digits, the partition as a decimal number; the part in braces is the hash tag). Its fields:
//!
//! | field | value |
//! |---|---|
//! | empty | the head: position, 8 bytes big-endian, then the fold's bytes |
//! | `0xFF 'o'` | owner token, 16 bytes |
//! | `0xFF 'v'` | version, a decimal number that grows with each commit |
//! | a state's key | the state. A key that is empty or begins with `0xFE` or `0xFF` stands behind `0xFF 's'` |
//! | `0xFE` ‖ key | a derived value |
//!
//! The updater's derived values are **interest vectors**, for other clients of this server: the service
//! computes its own. Their key is the state's key (`0x00` ‖
//! visitor id), the feature's place in the lane (2 bytes, big-endian) and the first 8 bytes of the
//! embedding's digest; their value is the vector's elements as `f32`, little-endian. With `redis-cli`:
//! `HGET twofold:1:{3f…:0} "\xfe\x00visitor-1\x00\x04\x9a…"`.
//!
//! # Why one hash
//! Measured on Redis 7.0.15 (Debian), a state of 200 bytes and a vector of 32 (64) `f32` per visitor:
//!
//! | layout | GiB per million | states/s per core of Redis, append-only file |
//! |---|---|---|
//! | a string per value | 0.535 (0.684) | — |
//! | hashes of 16, as listpacks | 0.393 (0.523), but 0.54 (0.71) resident: it fragments | 330,000 |
//! | one hash | 0.475 (0.624) | 710,000 |
//!
//! It takes nearly the memory that small hashes take from the system, needs no setting of the server,
//! writes a commit by one command, reads head and values by one `HMGET` (one snapshot without a
//! script), removes a (lane, partition) by one `UNLINK`, and leaves so few keys that a look at all of
//! them is short. Its price: slots with very large hashes migrate slowly, so a cluster that is
//! resharded while it works should have more partitions.
//!
//! # How it commits
//! One call of a function that lives in the server: it compares the owner and the position, then
//! writes. Its arguments go as they are; packing them made it slower by a third. Functions are
//! loaded at the start, and again wherever they are missing.
//!
//! # What a lost server means
//! State and position lie in one hash, so whatever a crash, a fail-over to a replica that was behind,
//! or a restored copy takes away, it takes from both, and the updater goes on from the older
//! position. A commit that was acknowledged may be rewound thus unless Redis runs with `appendfsync
//! always` (one server); a reader may then see the head go back. A call that fails while a cluster
//! fails over is [`Error::Unavailable`]; replicas are never read.

mod breaker;
mod check;
mod commit;
mod connection;
mod failure;
mod functions;
mod lanes;
mod layout;
mod link;
mod nodes;
mod raw;
mod read;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use record::{LaneId, Partition};

use crate::{
    Commit, Error, JournalId, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead,
};
use connection::Target;
use functions::Functions;
use layout::Kind;
use link::Link;

pub use breaker::BreakerState;
pub use link::Breakers;
pub use raw::{Memory, PlainSets};
pub use settings::{Settings, SettingsError};

/// The store in Redis. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    settings: Arc<Settings>,
    functions: Arc<Functions>,
    /// Apart, so that reads do not stand behind the bytes of a large commit.
    reads: Link,
    commits: Link,
}

impl Redis {
    /// Connects, checks every server that holds keys, and loads the functions.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a server cannot be reached or is no master; [`Error::Unsuitable`] when one may
    /// evict or forget states, is too old, or is of the other kind than the URL says.
    pub async fn open(settings: Settings) -> Result<Self, Error> {
        let opened = Self::open_servers(settings.clone()).await;
        opened.map_err(|error| failure::at_start(&settings, error))
    }

    async fn open_servers(settings: Settings) -> Result<Self, Error> {
        let functions = Arc::new(Functions::new());
        let store = Self {
            reads: Link::open(&settings, &functions).await?,
            commits: Link::open(&settings, &functions).await?,
            functions,
            settings: Arc::new(settings),
        };
        for node in nodes::all(&store.commits, store.settings.cluster).await? {
            check::check(&store.commits, &store.settings, &node).await?;
            store.commits.load_functions(Target::Node(node)).await?;
        }
        Ok(store)
    }

    /// The breakers of reads and of commits, as they are.
    #[must_use]
    pub fn breakers(&self) -> [Breakers; 2] {
        [self.reads.breakers("reads"), self.commits.breakers("commits")]
    }

    fn key(&self, lane: LaneId, partition: Partition) -> String {
        layout::key(&self.settings.prefix, lane, partition)
    }
}

#[async_trait]
impl OnlineStore for Redis {
    fn journal(&self) -> Option<JournalId> {
        None
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        self.claim(lane, partition, owner).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.commit(commit).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.read_kind(Kind::State, lane, partition, keys).await
    }

    async fn read_derived(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.read_kind(Kind::Derived, lane, partition, keys).await
    }

    async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn for<'k, 'v> FnMut(&'k [u8], &'v [u8]) + Send),
    ) -> Result<Option<StoredHead>, Error> {
        self.scan(lane, partition, visit).await
    }

    async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        self.page(lane, partition, from, keys).await
    }

    async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        self.lanes().await
    }

    async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        self.remove(lane).await
    }
}
