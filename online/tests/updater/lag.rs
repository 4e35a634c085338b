//! The lag as it is sampled: equal to the status, with the age of the oldest record that is left, and what is
//! known stays when log or store do not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Bounds, Error, EventLog, Reader};
use online::updater::{self, Handle, Lags, Sample, Sampler, Updater, status};
use record::{EventTime, Offset, Partition};
use runtime::shutdown::{self, Shutdown, Trigger};

use crate::events::view;
use crate::faulty::{Faults, Faulty};
use crate::membership::PATIENCE;
use crate::over::{Log, Over};
use crate::world::{World, block_on, settings};

const EVERY: Duration = Duration::from_millis(5);

/// A log that says nothing while it is away.
struct Away {
    inner: Arc<dyn EventLog>,
    away: AtomicBool,
}

impl Away {
    fn here(&self) -> Result<(), Error> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::Unavailable { reason: "away".to_owned() }),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Over for Away {
    fn inner(&self) -> &dyn EventLog {
        self.inner.as_ref()
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        self.here()?;
        self.inner.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        self.here()?;
        self.inner.reader(topic, partition, from).await
    }
}

fn sample(parts: updater::Parts, updater: Option<&Handle>) -> (Lags, Trigger) {
    let (sampler, lags) = Sampler::new(parts, updater.cloned(), EVERY);
    let (stop, stopped) = shutdown::channel();
    tokio::spawn(sampler.run(stopped));
    (lags, stop)
}

/// Waits until the samples are so.
async fn until(lags: &Lags, mut wanted: impl FnMut(&[Sample]) -> bool) -> Vec<Sample> {
    let waiting = async {
        loop {
            let samples = lags.samples();
            if !samples.is_empty() && wanted(&samples) {
                return samples;
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the samples never become so")
}

fn lag(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.lag).sum()
}

/// The greatest lag in seconds; `None`: of one of those that lag it cannot be said.
fn oldest(samples: &[Sample]) -> Option<Duration> {
    let times: Option<Vec<Duration>> = samples.iter().map(|sample| sample.lag_time).collect();
    times.and_then(|times| times.into_iter().max())
}

async fn click(world: &World, id: &str, at: EventTime) {
    world.append("clickstream", vec![view(id, "ann", "i1", at)]).await;
}

#[test]
fn samples_are_what_the_status_says_and_records_grow_old() {
    block_on(async {
        let mut world = World::new(91).await;
        world.shop(300).await;
        let total = lag_of_status(&world).await;
        world.clock.advance(Duration::from_secs(5));
        let (lags, stop) = sample(world.parts(), None);
        // Nobody works on it, and nobody has looked before: the records themselves say how old they are.
        let first = until(&lags, |s| lag(s) == total && oldest(s).is_some()).await;
        assert!(oldest(&first).unwrap() >= Duration::from_secs(5), "{first:?}");
        assert!(first.iter().all(|s| (s.lag == 0) == (s.lag_time == Some(Duration::ZERO))));
        world.clock.advance(Duration::from_secs(60));
        let older = until(&lags, |s| s.iter().all(|s| s.age < Duration::from_secs(60))).await;
        let grown = oldest(&older).unwrap() - oldest(&first).unwrap();
        assert!(grown >= Duration::from_secs(60), "{grown:?}");

        world.drain(settings()).await;
        let done = until(&lags, |s| lag(s) == 0).await;
        assert_eq!(oldest(&done), Some(Duration::ZERO));
        let of_status = status(&*world.log, &*world.store, &world.lanes, false).await.unwrap();
        assert_eq!(done.len(), of_status.len());
        for lane in of_status {
            let same = |s: &&Sample| {
                (s.lane.id.to_string(), s.partition.0) == (lane.lane.clone(), lane.partition)
            };
            let ledger = done
                .iter()
                .find(same)
                .unwrap()
                .head
                .clone()
                .unwrap_or_else(|| fold::Head::start(record::LogId([0; 16])));
            assert_eq!(ledger.ledger.applied, lane.applied, "{lane:?}");
            assert_eq!(ledger.ledger.read(), lane.read, "{lane:?}");
        }
        // What comes now was not there at the last look, whose time is known.
        click(&world, "new", world.clock.now()).await;
        until(&lags, |s| lag(s) == 2).await;
        world.clock.advance(Duration::from_secs(30));
        let waiting = until(&lags, |s| oldest(s) >= Some(Duration::from_secs(30))).await;
        assert_eq!(oldest(&waiting), Some(Duration::from_secs(30)), "{waiting:?}");
        assert_eq!(lags.failures(), (0, 0));
        stop.shut_down();
    });
}

async fn lag_of_status(world: &World) -> u64 {
    let status = status(&*world.log, &*world.store, &world.lanes, false).await.unwrap();
    status.iter().map(|lane| lane.lag).sum()
}

#[test]
fn a_log_that_is_away_leaves_the_last_sample_to_grow_old() {
    block_on(async {
        let mut world = World::new(92).await;
        world.shop(100).await;
        let (inner, away) = (Arc::clone(&world.log), AtomicBool::new(false));
        let log = Arc::new(Log(Away { inner, away }));
        let (updater, handle) = Updater::open(settings(), world.parts()).await.unwrap();
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        handle.caught_up().await;
        let parts = updater::Parts { log: Arc::clone(&log) as Arc<dyn EventLog>, ..world.parts() };
        let (lags, stop) = sample(parts, Some(&handle));
        let lanes = world.lanes.len() * world.log.bounds("clickstream").await.unwrap().len();
        until(&lags, |s| s.len() == lanes && lag(s) == 0).await;
        log.0.away.store(true, Ordering::SeqCst);
        // A look that is under way ends, at each of the two sources.
        let failed = lags.failures().0;
        until(&lags, |_| lags.failures().0 > failed + 5).await;
        world.clock.advance(Duration::from_secs(100));
        let failed = lags.failures().0;
        until(&lags, |_| lags.failures().0 > failed + 2).await;
        let old = lags.samples();
        assert_eq!((old.len(), lag(&old)), (lanes, 0));
        assert!(old.iter().all(|s| s.age >= Duration::from_secs(100)), "{old:?}");
        log.0.away.store(false, Ordering::SeqCst);
        until(&lags, |s| s.iter().all(|s| s.age < Duration::from_secs(100))).await;
        stop.shut_down();
        updating.abort();
    });
}

#[test]
fn a_store_that_is_away_is_counted() {
    block_on(async {
        let world = World::new(93).await;
        click(&world, "a", world.clock.now()).await;
        let faults = Faults { unavailable: 100, ..Faults::default() };
        let store = Faulty::new(Arc::clone(&world.store), 93, faults);
        let (lags, stop) = sample(updater::Parts { store, ..world.parts() }, None);
        tokio::time::timeout(PATIENCE, async {
            while lags.failures().1 < 3 {
                tokio::time::sleep(EVERY).await;
            }
        })
        .await
        .unwrap();
        assert!(lags.samples().is_empty(), "nothing is known, and nothing is made up");
        stop.shut_down();
    });
}

#[test]
fn a_backlog_is_as_old_as_what_the_updater_has_reached() {
    block_on(async {
        let mut world = World::new(94).await;
        world.shop(400).await;
        world.clock.advance(Duration::from_secs(7));
        let (store, gate) = crate::gate::gated(&world.store);
        let parts = updater::Parts { store: Arc::clone(&store), ..world.parts() };
        let (updater, handle) = Updater::open(settings(), parts.clone()).await.unwrap();
        let updating = tokio::spawn(updater.run(Shutdown::never()));
        let (lags, stop) = sample(parts, Some(&handle));
        let waiting = until(&lags, |s| lag(s) > 0 && oldest(s).is_some()).await;
        assert!(oldest(&waiting).unwrap() >= Duration::from_secs(7), "{waiting:?}");
        gate.open();
        until(&lags, |s| lag(s) == 0).await;
        stop.shut_down();
        updating.abort();
    });
}
