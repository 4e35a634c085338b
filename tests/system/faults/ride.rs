//! An updater on servers that are struck while a stream goes through.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use servers::Kafka;

use super::events::Events;
use super::feeder::Feeder;
use super::oracle::{Outcome, compare};
use super::plain::{self, TOPIC};
use super::stood::{Stood, until};
use super::store::Store;
use super::worker::Worker;
use crate::twofold::Twofold;

/// Small batches, so that there are many moments to be struck at. Short sessions, as where one waits for
/// members that were killed. Long requests: a member that no broker answers ends about as soon as one, and on
/// a busy machine a broker takes its time to start.
pub(super) const SETTINGS: &str = "[updater]\nbatch_records = 200\nsettle_ms = 500\n\
    [kafka]\nsession_timeout_ms = 2000\npoll_interval_ms_max = 4000\nrequest_timeout_ms = 30000\n";
/// Events that a ride may come to: they set how far they lie apart.
const EVENTS_MAX: usize = 2_000_000;

/// The path of a server, as `tests/run` says it.
pub(super) fn path_of(name: &str) -> PathBuf {
    #[allow(clippy::disallowed_methods, reason = "tests/run says where the servers are")]
    let path = std::env::var(name).unwrap_or_else(|_| panic!("{name}: see tests/run"));
    PathBuf::from(path)
}

pub(super) fn kafka_libs() -> PathBuf {
    path_of("SERVERS_KAFKA_LIBS")
}

pub(crate) fn kafka() -> Kafka {
    Kafka::start(&kafka_libs())
}

pub(crate) fn redis_server() -> PathBuf {
    path_of("SERVERS_REDIS_SERVER")
}

/// Arguments that name a log and a store, and the settings of `twofold.toml`.
pub(super) fn on<'a>(log: &'a str, store: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let flags = ["--config", "twofold.toml", "--log", log, "--store", store];
    [&flags, command].concat()
}

/// A directory with these settings, and the topics of it in the log.
pub(super) fn directory(settings: &str, log: &str, store: &str) -> Arc<Twofold> {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", settings);
    create_topics(&twofold, log, store);
    Arc::new(twofold)
}

/// Creates the topics: on a busy machine a broker that has just started does not take part at once.
pub(super) fn create_topics(twofold: &Twofold, log: &str, store: &str) {
    let create = on(log, store, &["topics", "create"]);
    until("topics", || twofold.output(&create).status.success());
}

/// What an updater says when it is over.
pub(super) struct Said {
    /// Times that it ended by itself, and was started again.
    pub(super) ends: u32,
    pub(super) counters: Value,
}

pub(super) struct Ride {
    pub(super) kafka: Kafka,
    pub(super) worker: Worker,
    store: Store,
    feeder: Feeder,
    stood: Stood,
}

impl Ride {
    /// Starts a broker, the updater on it and on the store at `store`, and a stream.
    pub(super) fn start(seed: u64, store: &str, per_second: usize) -> Self {
        let kafka = kafka();
        let log = format!("kafka://{}", kafka.bootstrap());
        let twofold = directory(SETTINGS, &log, store);
        let feeder = Feeder::start(&kafka.bootstrap(), Events::new(seed, EVENTS_MAX), per_second);
        let worker = Worker::start(&twofold, &on(&log, store, &["--json", "update"]));
        let store = Store::open(store);
        let mut ride = Self { kafka, worker, store, feeder, stood: Stood::default() };
        ride.go_on();
        ride
    }

    /// Waits until every partition of every lane has gone on.
    pub(super) fn go_on(&mut self) {
        let now = self.positions();
        self.until_past(&now);
    }

    /// Waits until the stream has come to so many records, and every partition of every lane past that.
    pub(super) fn reach(&mut self, records: usize) {
        while self.feeder.sent() < records {
            self.go_on();
        }
        self.go_on();
    }

    fn positions(&self) -> Vec<u64> {
        let mut now = None;
        until("positions", || {
            now = self.store.positions();
            now.is_some()
        });
        now.expect("just looked")
    }

    fn until_past(&mut self, before: &[u64]) -> Duration {
        until("every partition goes on", || {
            self.worker.supervise();
            let past = |now: &Vec<u64>| now.iter().zip(before).all(|(now, before)| now > before);
            self.store.positions().as_ref().is_some_and(past)
        })
    }

    /// Strikes while work goes on, and waits until all of it is further than it was. The time counts
    /// from where `strike` returns: servers answer again then.
    pub(super) fn strike(&mut self, strike: impl FnOnce(&mut Kafka, &mut Worker)) {
        self.go_on();
        let before = self.positions();
        strike(&mut self.kafka, &mut self.worker);
        let time = self.until_past(&before);
        self.stood.add(time);
    }

    /// Lets the stream end, waits until all of it is covered, and compares. Gives the outcome, what the
    /// updater says of itself and how long it stood still. What the test makes of that is its own matter: until it
    /// is over, all of this stays, so that a test that fails leaves the logs behind.
    pub(super) fn end(&mut self) -> (Outcome, Said, Stood) {
        let events = self.feeder.stop();
        let bootstrap = self.kafka.bootstrap();
        until_covered(&self.store, &bootstrap, || self.worker.supervise());
        let ends = self.worker.ends;
        let said = Said { ends, counters: self.worker.end()["counters"].take() };
        let log = plain::read(&bootstrap, TOPIC);
        let outcome = compare(&self.store, &log, &events, false).with_letters(&bootstrap);
        (outcome, said, std::mem::take(&mut self.stood))
    }
}

/// Waits until there is no lag; how long that was.
pub(super) fn until_covered(
    store: &Store,
    bootstrap: &str,
    mut meanwhile: impl FnMut(),
) -> Duration {
    let ends: Vec<u64> = plain::ends(bootstrap, TOPIC);
    let ends: Vec<u64> = store.lanes.iter().flat_map(|_| ends.iter().copied()).collect();
    until("no lag", || {
        meanwhile();
        store.positions().as_ref() == Some(&ends)
    })
}
