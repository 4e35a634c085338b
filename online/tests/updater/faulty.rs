//! A store that fails as stores do: unavailable, reply lost, moved, and the process gone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use online_store::{
    Commit, Error, JournalId, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{LaneId, Partition};
use tokio::sync::Notify;

/// Per cent of the calls that fail so.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) unavailable: u32,
    pub(crate) lost_reply: u32,
    pub(crate) moved: u32,
    /// Calls until the process is gone; 0: never.
    pub(crate) calls_until_crash: u32,
    /// Scans, the first ones, that a commit spoils.
    pub(crate) scans_spoilt: u32,
}

pub(crate) struct Faulty {
    inner: Arc<dyn OnlineStore>,
    faults: Faults,
    dice: Mutex<(ChaCha8Rng, u32)>,
    scans: AtomicU32,
    crashed: Notify,
}

enum Fate {
    Fine,
    Unavailable,
    LostReply,
    Moved,
    CrashBefore,
    CrashAfter,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn OnlineStore>, seed: u64, faults: Faults) -> Arc<Self> {
        let dice = Mutex::new((ChaCha8Rng::seed_from_u64(seed), 0));
        Arc::new(Self { inner, faults, dice, scans: AtomicU32::new(0), crashed: Notify::new() })
    }

    /// Waits for the crash.
    pub(crate) async fn crashed(&self) {
        self.crashed.notified().await;
    }

    fn fate(&self) -> Fate {
        let (rng, calls) = &mut *self.dice.lock().unwrap();
        *calls += 1;
        let Faults { unavailable, lost_reply, moved, calls_until_crash, .. } = self.faults;
        if calls_until_crash > 0 && *calls >= calls_until_crash {
            return if rng.random() { Fate::CrashBefore } else { Fate::CrashAfter };
        }
        let dice = rng.random_range(0..100);
        match dice {
            _ if dice < unavailable => Fate::Unavailable,
            _ if dice < unavailable + lost_reply => Fate::LostReply,
            _ if dice < unavailable + lost_reply + moved => Fate::Moved,
            _ => Fate::Fine,
        }
    }

    async fn gone<T>(&self) -> T {
        self.crashed.notify_one();
        std::future::pending().await
    }

    async fn through<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let unavailable = |reason: &str| Err(Error::Unavailable { reason: reason.to_owned() });
        match self.fate() {
            Fate::Fine | Fate::Moved => call.await,
            Fate::Unavailable => unavailable("injected"),
            Fate::LostReply => {
                call.await?;
                unavailable("injected after the call")
            }
            Fate::CrashBefore => self.gone().await,
            Fate::CrashAfter => {
                let _ = call.await;
                self.gone().await
            }
        }
    }
}

#[async_trait]
impl OnlineStore for Faulty {
    fn journal(&self) -> Option<JournalId> {
        self.inner.journal()
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        self.through(self.inner.claim(lane, partition, owner)).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        let (moved, lane, partition) = {
            let (rng, _) = &mut *self.dice.lock().unwrap();
            (rng.random_range(0..100) < self.faults.moved, commit.lane, commit.partition)
        };
        if moved {
            let stored = self.inner.read(lane, partition, &[]).await?.head.map(|head| head.next);
            return Ok(Outcome::Moved { stored });
        }
        self.through(self.inner.commit(commit)).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.through(self.inner.read(lane, partition, keys)).await
    }

    async fn read_derived(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.through(self.inner.read_derived(lane, partition, keys)).await
    }

    async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn for<'k, 'v> FnMut(&'k [u8], &'v [u8]) + Send),
    ) -> Result<Option<StoredHead>, Error> {
        let scanned = self.inner.scan(lane, partition, visit).await?;
        match self.scans.fetch_add(1, Ordering::SeqCst) < self.faults.scans_spoilt {
            true => Err(Error::Moved { lane, partition }),
            false => Ok(scanned),
        }
    }

    async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        self.inner.page(lane, partition, from, keys).await
    }

    async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        self.inner.lanes().await
    }

    async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        self.inner.remove(lane).await
    }
}
