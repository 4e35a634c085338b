//! Nothing happens though there is something to do: the updater says so, and where.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Bounds, EventLog, Reader};
use online::updater::{self, Error, LogEnd, Updater};
use record::{Offset, Partition, Record};
use runtime::shutdown::{self, Shutdown};
use tokio::time::timeout;

use crate::gate::gated;
use crate::membership::PATIENCE;
use crate::over::{Log, Over};
use crate::replay::{digests, fresh_digests};
use crate::world::{World, block_on, settings};

/// A log that says how far it goes, unless it is deaf, and gives the records of one partition of the clicks
/// late or never.
struct Silent {
    inner: Arc<dyn EventLog>,
    partition: Partition,
    late: Option<Duration>,
    deaf: Arc<AtomicBool>,
}

impl Silent {
    fn new(world: &World, late: Option<Duration>) -> Self {
        let (inner, deaf) = (Arc::clone(&world.log), Arc::default());
        Self { inner, partition: Partition(2), late, deaf }
    }
}

struct SilentReader(Offset);

struct LateReader {
    inner: Box<dyn Reader>,
    /// On their way: a call that is dropped does not lose them.
    held: Vec<Record>,
    position: Offset,
    late: Duration,
}

#[async_trait]
impl Reader for LateReader {
    async fn next(&mut self, most: usize, wait: Duration) -> Result<Vec<Record>, event_log::Error> {
        if self.held.is_empty() {
            self.held = self.inner.next(most, wait).await?;
        }
        if !self.held.is_empty() {
            tokio::time::sleep(self.late).await;
        }
        self.position = self.inner.position();
        Ok(std::mem::take(&mut self.held))
    }

    fn position(&self) -> Offset {
        self.position
    }
}

#[async_trait]
impl Reader for SilentReader {
    async fn next(&mut self, _: usize, wait: Duration) -> Result<Vec<Record>, event_log::Error> {
        tokio::time::sleep(wait).await;
        Ok(Vec::new())
    }

    fn position(&self) -> Offset {
        self.0
    }
}

#[async_trait]
impl Over for Silent {
    fn inner(&self) -> &dyn EventLog {
        self.inner.as_ref()
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, event_log::Error> {
        if self.deaf.load(Ordering::Relaxed) {
            return Err(event_log::Error::Unavailable { reason: "told to".to_owned() });
        }
        self.inner.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, event_log::Error> {
        let inner = self.inner.reader(topic, partition, from).await?;
        Ok(match (topic == "clickstream" && partition == self.partition, self.late) {
            (false, _) => inner,
            (true, None) => Box::new(SilentReader(from)),
            (true, Some(late)) => {
                Box::new(LateReader { inner, held: Vec::new(), position: from, late })
            }
        })
    }
}

fn impatient() -> updater::Settings {
    updater::Settings { stall_limit_ms: 400, release_limit_ms: 100, ..settings() }
}

#[test]
fn a_log_that_gives_no_records_is_named() {
    block_on(async {
        let mut world = World::new(81).await;
        world.shop(200).await;
        world.drain(settings()).await;
        let log = Silent::new(&world, None);
        let parts = updater::Parts { log: Arc::new(Log(log)), ..world.parts() };
        let (updater, handle) = Updater::open(impatient(), parts).await.unwrap();
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        handle.caught_up().await;
        // Longer than the limit: silence where there is nothing to come is no stall.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(!updating.is_finished());
        let stood = world.log.bounds("clickstream").await.unwrap()[2].next;
        world.shop(400).await;
        let end = world.log.bounds("clickstream").await.unwrap()[2].next;
        assert!(end > stood);
        let error = timeout(PATIENCE, updating).await.unwrap().unwrap().unwrap_err();
        let Error::Stalled { of, partition, position, end: said, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((of.as_str(), *partition), ("clickstream", Partition(2)));
        assert_eq!((*position, *said), (stood, LogEnd(Some(end))));
        for named in ["clickstream", "partition 2", "400 ms", "stall_limit_ms"] {
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
        world.drain(settings()).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

/// The first record after a long silence is no stall, though it takes longer than from one look to the next.
#[test]
fn what_has_just_come_has_kept_nobody_waiting() {
    block_on(async {
        let mut world = World::new(84).await;
        world.shop(200).await;
        let log = Silent::new(&world, Some(Duration::from_millis(150)));
        let deaf = Arc::clone(&log.deaf);
        let parts = updater::Parts { log: Arc::new(Log(log)), ..world.parts() };
        let (updater, handle) = Updater::open(impatient(), parts).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped));
        handle.caught_up().await;
        for outage_ms in [0, 0, 250] {
            tokio::time::sleep(Duration::from_millis(600)).await;
            deaf.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(outage_ms)).await;
            deaf.store(false, Ordering::Relaxed);
            world.shop(100).await;
        }
        tokio::time::sleep(Duration::from_millis(600)).await;
        stop.shut_down();
        timeout(PATIENCE, updating).await.unwrap().unwrap().expect("nothing has stalled");
        world.drain(settings()).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

/// A log that neither gives records nor says whether there are any is not waited for for ever.
#[test]
fn a_log_that_says_nothing_is_named() {
    block_on(async {
        let mut world = World::new(85).await;
        world.shop(100).await;
        world.drain(settings()).await;
        let log = Silent::new(&world, None);
        let deaf = Arc::clone(&log.deaf);
        let parts = updater::Parts { log: Arc::new(Log(log)), ..world.parts() };
        let (updater, handle) = Updater::open(impatient(), parts).await.unwrap();
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        handle.caught_up().await;
        deaf.store(true, Ordering::Relaxed);
        let error = timeout(PATIENCE, updating).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, Error::Stalled { end: LogEnd(None), .. }), "{error}");
    });
}

#[test]
fn a_store_that_hangs_is_named() {
    block_on(async {
        let mut world = World::new(82).await;
        world.shop(100).await;
        let (store, _gate) = gated(&world.store);
        let parts = updater::Parts { store, ..world.parts() };
        let (updater, _) = Updater::open(impatient(), parts).await.unwrap();
        let draining = timeout(PATIENCE, updater.drain(Shutdown::never()));
        let error = draining.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Stalled { doing: "committing", .. }), "{error}");
        world.drain(settings()).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

#[test]
fn a_drain_that_is_told_to_stop_says_so_and_is_gone_on_with() {
    block_on(async {
        let mut world = World::new(84).await;
        world.shop(2000).await;
        let (store, mut gate) = gated(&world.store);
        let parts = updater::Parts { store, ..world.parts() };
        let (updater, handle) = Updater::open(settings(), parts).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let draining = tokio::spawn(updater.drain(stopped));
        gate.reached(1).await;
        stop.shut_down();
        gate.open();
        let error = timeout(PATIENCE, draining).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, Error::CutShort), "{error}");
        assert!(handle.counters().commits > 0 && !handle.is_caught_up(), "{:?}", handle.counters());
        world.drain(settings()).await;
        assert_eq!(
            digests(world.store.as_ref(), &world.lanes).await,
            fresh_digests(&world, 50).await
        );
    });
}

#[test]
fn an_updater_with_nothing_to_do_does_not_stall() {
    block_on(async {
        let world = World::new(83).await;
        let (updater, handle) = Updater::open(impatient(), world.parts()).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped));
        handle.caught_up().await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        stop.shut_down();
        timeout(PATIENCE, updating).await.unwrap().unwrap().unwrap();
    });
}
