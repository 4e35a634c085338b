//! A store whose commits wait while the gate is shut.

use std::sync::Arc;

use async_trait::async_trait;
use online_store::{
    Commit, Error, JournalId, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead,
};
use record::{LaneId, Partition};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::membership::PATIENCE;

pub(crate) struct Gated {
    inner: Arc<dyn OnlineStore>,
    open: watch::Receiver<bool>,
    waiting: watch::Sender<u64>,
}

/// Opens and shuts it, and knows who waits.
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Receiver<u64>,
}

/// A store with a gate that is shut.
pub(crate) fn gated(inner: &Arc<dyn OnlineStore>) -> (Arc<dyn OnlineStore>, Gate) {
    let (open, is_open) = watch::channel(false);
    let (wait, waiting) = watch::channel(0);
    let store = Gated { inner: Arc::clone(inner), open: is_open, waiting: wait };
    (Arc::new(store), Gate { open, waiting })
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until so many commits have come to the gate.
    pub(crate) async fn reached(&mut self, commits: u64) {
        let waiting = self.waiting.wait_for(|waiting| *waiting >= commits);
        timeout(PATIENCE, waiting).await.unwrap().unwrap();
    }
}

#[async_trait]
impl OnlineStore for Gated {
    fn journal(&self) -> Option<JournalId> {
        self.inner.journal()
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        self.inner.claim(lane, partition, owner).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.open.clone().wait_for(|open| *open).await.unwrap();
        self.inner.commit(commit).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.inner.read(lane, partition, keys).await
    }

    async fn read_derived(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.inner.read_derived(lane, partition, keys).await
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
        self.inner.page(lane, partition, from, keys).await
    }

    async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        self.inner.lanes().await
    }

    async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        self.inner.remove(lane).await
    }
}
