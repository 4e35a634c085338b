//! Ports that hang when they are told to.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Appended, Bounds, Change, EventLog, Membership, NewRecord, Reader, Share, Topic};
use online_store::{
    Commit, Error, JournalId, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead,
};
use record::{LaneId, Offset, Partition};

/// What a port does with the calls that a test is about.
#[derive(Clone, Default)]
pub(crate) struct Switch {
    hangs: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
}

impl Switch {
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Hangs as long as it is told to; whether to fail then.
    async fn pass(&self) -> bool {
        while self.hangs.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.fails.load(Ordering::SeqCst)
    }
}

/// A store whose reads can hang or fail.
pub(crate) struct Store {
    pub(crate) inner: Arc<dyn OnlineStore>,
    pub(crate) reads: Switch,
}

#[async_trait]
impl OnlineStore for Store {
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
        self.inner.commit(commit).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        if self.reads.pass().await {
            return Err(Error::Unavailable { reason: "told to".to_owned() });
        }
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

/// A log whose appends to one topic can hang or fail, and whose group has other members.
pub(crate) struct Log {
    pub(crate) inner: Arc<dyn EventLog>,
    pub(crate) topic: &'static str,
    pub(crate) appends: Switch,
    /// These partitions of each topic are for who joins here; `None`: as the log says.
    pub(crate) partitions: Option<Range<u32>>,
}

/// A member that has what it has, for good.
struct Member(Option<Vec<Share>>);

#[async_trait]
impl Membership for Member {
    async fn next(&mut self) -> Result<Change, event_log::Error> {
        match self.0.take() {
            Some(shares) => Ok(Change::Assigned(shares)),
            None => std::future::pending().await,
        }
    }

    fn release(&mut self, _: &[Share]) {}

    fn hint(&mut self, _: &[(Share, Offset)]) {}

    fn hints_failed(&self) -> u64 {
        0
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn leave(self: Box<Self>) {}
}

#[async_trait]
impl EventLog for Log {
    async fn topic(&self, topic: &str) -> Result<Topic, event_log::Error> {
        self.inner.topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, event_log::Error> {
        self.inner.create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, event_log::Error>>, event_log::Error> {
        if topic == self.topic && self.appends.pass().await {
            return Err(event_log::Error::Unavailable { reason: "told to".to_owned() });
        }
        self.inner.append_before(topic, records, journal).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, event_log::Error> {
        self.inner.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, event_log::Error> {
        self.inner.reader(topic, partition, from).await
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, event_log::Error> {
        let Some(partitions) = &self.partitions else { return self.inner.join(topics).await };
        let share = |topic: &&str, partition| Share {
            topic: (*topic).into(),
            partition: Partition(partition),
        };
        let shares =
            topics.iter().flat_map(|topic| partitions.clone().map(move |p| share(topic, p)));
        Ok(Box::new(Member(Some(shares.collect()))))
    }
}
