//! Servers that are away for a while, as they are when they restart: the updater waits for them.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use event_log::{Appended, Bounds, EventLog, JournalId, NewRecord, Reader, Topic};
use online::updater::{self, Updater};
use online_store::{Commit, Error, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead};
use record::{LaneId, Offset, Partition};
use runtime::shutdown::Shutdown;

use crate::over::{Log, Over};
use crate::replay::{digests, fresh_digests};
use crate::side_topics::read_all;
use crate::world::{World, block_on, settings};

/// More failures in a row than a connection that is cut makes, or a broker that starts.
const FAILURES: u32 = 40;

/// Refuses each kind of call so often, then takes it.
struct Away<P: ?Sized> {
    inner: Arc<P>,
    refused: Mutex<HashMap<String, u32>>,
    refusals: AtomicU32,
}

impl<P: ?Sized> Away<P> {
    fn new(inner: &Arc<P>) -> Self {
        let (refused, refusals) = (Mutex::default(), AtomicU32::new(0));
        Self { inner: Arc::clone(inner), refused, refusals }
    }

    fn refuses(&self, call: String) -> bool {
        let mut refused = self.refused.lock().unwrap();
        let times = refused.entry(call).or_default();
        *times += 1;
        let refuses = *times <= FAILURES;
        self.refusals.fetch_add(u32::from(refuses), Ordering::SeqCst);
        refuses
    }
}

fn log_is_away() -> event_log::Error {
    event_log::Error::Unavailable { reason: "away".to_owned() }
}

fn store_is_away() -> Error {
    Error::Unavailable { reason: "away".to_owned() }
}

/// A log that does not answer at first, and then takes but every other record.
#[async_trait]
impl Over for Away<dyn EventLog> {
    fn inner(&self) -> &dyn EventLog {
        self.inner.as_ref()
    }

    async fn topic(&self, topic: &str) -> Result<Topic, event_log::Error> {
        if self.refuses(format!("topic {topic}")) {
            return Err(log_is_away());
        }
        self.inner.topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, event_log::Error> {
        if self.refuses(format!("create {topic}")) {
            return Err(log_is_away());
        }
        self.inner.create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, event_log::Error>>, event_log::Error> {
        if self.refuses(format!("append {topic}")) {
            return Err(log_is_away());
        }
        let mut outcomes = Vec::new();
        for (n, record) in records.into_iter().enumerate() {
            outcomes.push(match n % 2 {
                0 => self.inner.append_before(topic, vec![record], journal).await?.remove(0),
                _ => Err(log_is_away()),
            });
        }
        Ok(outcomes)
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, event_log::Error> {
        if self.refuses(format!("bounds {topic}")) {
            return Err(log_is_away());
        }
        self.inner.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, event_log::Error> {
        if self.refuses(format!("reader {topic} {partition}")) {
            return Err(log_is_away());
        }
        self.inner.reader(topic, partition, from).await
    }
}

/// A store that does not answer at first.
#[async_trait]
impl OnlineStore for Away<dyn OnlineStore> {
    fn journal(&self) -> Option<JournalId> {
        self.inner.journal()
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        if self.refuses(format!("claim {lane} {partition}")) {
            return Err(store_is_away());
        }
        self.inner.claim(lane, partition, owner).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        if self.refuses(format!("commit {} {}", commit.lane, commit.partition)) {
            return Err(store_is_away());
        }
        self.inner.commit(commit).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        if self.refuses(format!("read {lane} {partition}")) {
            return Err(store_is_away());
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

/// The bounds that users have, but for pauses: it is not to be seen in the tests' time.
fn hurried() -> updater::Settings {
    let ours = settings();
    updater::Settings {
        batch_records: ours.batch_records,
        backoff_ms_min: ours.backoff_ms_min,
        backoff_ms_max: ours.backoff_ms_max,
        ..updater::Settings::default()
    }
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    block_on(async {
        let mut world = World::new(91).await;
        world.shop(300).await;
        let away = Arc::new(Away::new(&world.store));
        let store: Arc<dyn OnlineStore> = away.clone();
        let parts = updater::Parts { store, ..world.parts() };
        let (updater, handle) = Updater::open(hurried(), parts).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
        let counters = handle.counters();
        assert!(away.refusals.load(Ordering::SeqCst) > 3 * FAILURES, "{counters:?}");
        assert_eq!((counters.fenced, counters.replays), (0, 0), "{counters:?}");
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

#[test]
fn a_log_that_is_away_is_waited_for_from_the_start() {
    block_on(async {
        let mut world = World::new(92).await;
        world.shop(300).await;
        let away = Arc::new(Log(Away::new(&world.log)));
        let log: Arc<dyn EventLog> = away.clone();
        let parts = updater::Parts { log, ..world.parts() };
        let (updater, handle) = Updater::open(hurried(), parts).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
        let counters = handle.counters();
        let refusals = away.0.refusals.load(Ordering::SeqCst);
        assert!(counters.retries >= u64::from(refusals), "{refusals}: {counters:?}");
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

/// Nothing of topics `late` and `dead-letter` is lost while the log is away, and what it took is not written
/// again for what it did not take.
#[test]
fn late_records_and_dead_letters_are_written_once_the_log_is_back() {
    block_on(async {
        let mut world = World::new(93).await;
        world.shop(800).await;
        let log = Arc::new(Log(Away::new(&world.log)));
        let parts = updater::Parts { log, ..world.parts() };
        let (updater, handle) = Updater::open(hurried(), parts).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
        let (log, store) = (world.log.as_ref(), world.store.as_ref());
        let lanes = updater::status(log, store, &world.lanes, false).await.unwrap();
        let (late, dead) = (read_all(log, "late").await, read_all(log, "dead-letter").await);
        let sum = |of: fn(&updater::LaneStatus) -> u64| lanes.iter().map(of).sum::<u64>();
        assert_eq!(late.len() as u64, sum(|lane| lane.late));
        assert_eq!(dead.len() as u64, sum(|lane| lane.dead_lettered));
        assert!(late.len() > 1 && dead.len() > 1, "more than one, so that some wait for others");
        let all = late.iter().chain(&dead);
        let ids: BTreeSet<&str> = all.map(|letter| letter["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), late.len() + dead.len(), "each of them once");
        let counters = handle.counters();
        assert_eq!(counters.late_written, late.len() as u64);
        assert_eq!(counters.dead_letters_written, dead.len() as u64);
    });
}
