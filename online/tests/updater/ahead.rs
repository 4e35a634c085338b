//! Where there is a backlog, the next micro-batch is read while the last one is committed, and no more than that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Error, EventLog, Reader};
use online::updater::{Counters, Error as UpdateError, Parts, Settings, Updater};
use record::{Offset, Partition, Record};
use runtime::shutdown;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::events::view;
use crate::gate::gated;
use crate::membership::PATIENCE;
use crate::over::{Log, Over};
use crate::races::wait_for_end;
use crate::replay::{digests, fresh_digests};
use crate::world::{self, World, block_on, settings};

/// A log that knows how many of the clicks were handed out, and fails once at one of them.
struct Counted {
    inner: Arc<dyn EventLog>,
    handed: watch::Sender<usize>,
    fails: Option<(Offset, Failure)>,
}

type Failure = fn(Offset) -> Error;

struct CountedReader {
    inner: Box<dyn Reader>,
    handed: watch::Sender<usize>,
    fails: Option<(Offset, Failure)>,
}

impl Counted {
    fn new(world: &World) -> (Self, watch::Receiver<usize>) {
        let (handed, seen) = watch::channel(0);
        (Self { inner: Arc::clone(&world.log), handed, fails: None }, seen)
    }
}

#[async_trait]
impl Reader for CountedReader {
    async fn next(&mut self, most: usize, wait: Duration) -> Result<Vec<Record>, Error> {
        let position = self.inner.position();
        let most = match self.fails {
            Some((at, failure)) if at == position => {
                self.fails = None;
                return Err(failure(at));
            }
            Some((at, _)) if at > position => most.min((at.0 - position.0) as usize),
            _ => most,
        };
        let records = self.inner.next(most, wait).await?;
        self.handed.send_modify(|handed| *handed += records.len());
        Ok(records)
    }

    fn position(&self) -> Offset {
        self.inner.position()
    }
}

#[async_trait]
impl Over for Counted {
    fn inner(&self) -> &dyn EventLog {
        self.inner.as_ref()
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        let inner = self.inner.reader(topic, partition, from).await?;
        if topic != "clickstream" {
            return Ok(inner);
        }
        let (handed, fails) = (self.handed.clone(), self.fails);
        Ok(Box::new(CountedReader { inner, handed, fails }))
    }
}

const BATCH: usize = 10;

/// How many records of one visitor are handed out to an updater that cannot commit, when `expected` are and no more
/// come for a while: `first` are in the log when it starts, 10 micro-batches more when it has come to its commit.
fn handed_out(first: usize, expected: usize) -> usize {
    block_on(async {
        let world = World::new(86).await;
        let event = |n| view(&format!("e{n}"), "ann", "i1", world.clock.now());
        let there = first + 10 * BATCH;
        world.append("clickstream", (0..first).map(event).collect()).await;
        let (log, mut seen) = Counted::new(&world);
        let (store, mut gate) = gated(&world.store);
        let settings = Settings { batch_records: BATCH, pace_ms: 0, ..settings() };
        let parts = Parts { log: Arc::new(Log(log)), store, ..world.parts() };
        let (updater, handle) = Updater::open(settings, parts).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.alone().run(stopped));
        gate.reached(2).await;
        // Not all of a micro-batch at once: it is gathered.
        world.append("clickstream", (first..first + 4).map(event).collect()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        world.append("clickstream", (first + 4..there).map(event).collect()).await;
        timeout(PATIENCE, seen.wait_for(|seen| *seen >= expected)).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let handed = *seen.borrow();
        gate.open();
        wait_for_end(&world, &handle).await;
        stop.shut_down();
        updating.await.unwrap().unwrap();
        assert_eq!(*seen.borrow(), there, "each once");
        let found = digests(world.store.as_ref(), &world.lanes).await;
        assert_eq!(found, fresh_digests(&world, 7).await);
        handed
    })
}

#[test]
fn one_micro_batch_is_read_while_a_full_one_is_committed() {
    assert_eq!(handed_out(BATCH, 2 * BATCH), 2 * BATCH);
}

#[test]
fn nothing_is_read_while_one_is_committed_that_was_not_full() {
    assert_eq!(handed_out(BATCH - 1, BATCH - 1), BATCH - 1);
}

/// An updater that ends while records wait for their turn leaves them to the next one.
#[test]
fn what_was_read_ahead_and_never_folded_is_read_again() {
    block_on(async {
        let world = World::new(87).await;
        let event = |n| view(&format!("e{n}"), &format!("v{}", n % 50), "i1", world.clock.now());
        world.append("clickstream", (0..4000).map(event).collect()).await;
        let (log, mut seen) = Counted::new(&world);
        let (store, mut gate) = gated(&world.store);
        let parts = Parts { log: Arc::new(Log(log)), store, ..world.parts() };
        let settings = Settings { batch_records: BATCH, pace_ms: 0, ..settings() };
        let (updater, handle) = Updater::open(settings.clone(), parts).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let updating = tokio::spawn(updater.run(stopped));
        let partitions = world::PARTITIONS as usize;
        let all_ahead = seen.wait_for(|seen| *seen >= 2 * BATCH * partitions);
        timeout(PATIENCE, all_ahead).await.unwrap().unwrap();
        gate.reached(2 * u64::from(world::PARTITIONS)).await;
        stop.shut_down();
        gate.open();
        timeout(PATIENCE, updating).await.unwrap().unwrap().unwrap();
        let folded = handle.counters().records;
        assert!(folded < *seen.borrow() as u64, "{folded} of {}", *seen.borrow());
        world.drain(settings).await;
        let found = digests(world.store.as_ref(), &world.lanes).await;
        assert_eq!(found, fresh_digests(&world, 50).await);
    });
}

/// Drains a log of 10 micro-batches, whose second one fails once after so many records of it.
async fn drained(before: usize, failure: Failure) -> (World, Counters, Result<(), UpdateError>) {
    let world = World::new(88).await;
    let event = |n| view(&format!("e{n}"), "ann", "i1", world.clock.now());
    world.append("clickstream", (0..10 * BATCH).map(event).collect()).await;
    let fails = Some((Offset((BATCH + before) as u64), failure));
    let log = Arc::new(Log(Counted { fails, ..Counted::new(&world).0 }));
    let settings = Settings { batch_records: BATCH, ..settings() };
    let parts = Parts { log, ..world.parts() };
    let (updater, handle) = Updater::open(settings, parts).await.unwrap();
    let drained = updater.drain(shutdown::Shutdown::never()).await;
    let counters = handle.counters();
    (world, counters, drained)
}

/// What cannot be read is told, though something behind it could be: after the records that were read ahead before
/// it, if there are any.
#[test]
fn what_stands_in_the_way_of_reading_ahead_is_never_passed_over() {
    for before in [0, 3] {
        block_on(async {
            let damaged = |at| Error::Damaged { at: format!("offset {at}"), what: "told to" };
            let (world, counters, drained) = drained(before, damaged).await;
            let (at, error) = (BATCH + before, drained.unwrap_err());
            assert!(error.to_string().contains(&format!("offset {at}")), "{error}");
            assert_eq!(counters.records, at as u64, "what came before it is folded");
            world.drain(settings()).await;
            let found = digests(world.store.as_ref(), &world.lanes).await;
            assert_eq!(found, fresh_digests(&world, 7).await);
        });
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    for before in [0, 3] {
        block_on(async {
            let away = |at| Error::Unavailable { reason: format!("told to at {at}") };
            let (world, counters, drained) = drained(before, away).await;
            drained.unwrap();
            assert_eq!((counters.records, counters.retries), (10 * BATCH as u64, 1));
            let found = digests(world.store.as_ref(), &world.lanes).await;
            assert_eq!(found, fresh_digests(&world, 7).await);
        });
    }
}
