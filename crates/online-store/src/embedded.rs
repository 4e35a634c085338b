//! The store in the data directory's embedded database.
//!
//! One keyspace holds heads, states and derived values, and a commit is one batch of it, so a reader
//! with a snapshot sees all of a commit or nothing. Commits of one (lane, partition) go one after the
//! other, those of different ones side by side.

mod commit;
mod layout;
mod read;
mod remove;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::embedded::{Database, JournalId, Role, SyncMode};
use async_trait::async_trait;
use fjall::Keyspace;
use record::{LaneId, Partition};

use crate::{Commit, Error, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead};
use layout::Kind;

/// Locks that the (lane, partition)s share.
const LOCKS: usize = 64;

/// How the store works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether each commit is synced before it is answered. It need not be: the log is durable
    /// before a state can be, so what a power failure takes is computed again.
    pub durable_commits: bool,
}

/// The store in the data directory's embedded database. Cheap to clone.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    store: Keyspace,
    settings: Settings,
    locks: [Mutex<()>; LOCKS],
    _role: Role,
}

impl Embedded {
    /// Opens the store of a database, and ends removals that a crash interrupted. One at a time,
    /// because its locks order the commits; clones share it.
    ///
    /// # Errors
    /// When it is open already; when what is stored cannot be read.
    pub fn open(database: &Database, settings: Settings) -> Result<Self, Error> {
        let role = database.role("online store")?;
        let inner = Inner {
            database: database.clone(),
            store: database.keyspace("online-store")?,
            settings,
            locks: std::array::from_fn(|_| Mutex::new(())),
            _role: role,
        };
        inner.end_removals()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Runs what may wait for the disk on a thread that may wait.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        if self.inner.database.sync_mode() == SyncMode::Never {
            return work(&self.inner);
        }
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|error| Error::Unavailable { reason: format!("a task failed: {error}") })?
    }
}

impl Inner {
    fn lock(&self, lane: LaneId, partition: Partition) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (lane, partition).hash(&mut hasher);
        let lock = &self.locks[hasher.finish() as usize % LOCKS];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: fjall::Error) -> Error {
        self.database.failed(error).into()
    }
}

#[async_trait]
impl OnlineStore for Embedded {
    fn journal(&self) -> Option<JournalId> {
        Some(self.inner.database.journal())
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        self.blocking(move |inner| inner.claim(lane, partition, owner)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let prepared = self.inner.prepare(commit)?;
        self.blocking(move |inner| inner.commit(prepared)).await
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
        self.inner.scan(lane, partition, visit).await
    }

    async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        let from = from.to_vec();
        self.blocking(move |inner| inner.page(lane, partition, &from, keys)).await
    }

    async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        self.blocking(Inner::lanes).await
    }

    async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        self.blocking(move |inner| inner.remove(lane)).await
    }
}
