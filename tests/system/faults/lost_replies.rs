//! Commits whose replies never arrive: each is tried again, none counts twice.

use servers::{Fsync, Redis};

use super::dose::{dose, seed};
use super::events::Events;
use super::oracle::compare;
use super::plain::{self, Producer, TOPIC};
use super::proxy::Proxy;
use super::ride::{directory, kafka, on, redis_server, until_covered};
use super::stood::Stood;
use super::store::Store;
use super::worker::Worker;

const SEED: u64 = 106;
/// Small batches, so that there are many commits, and always several on their way.
const SETTINGS: &str = "[updater]\nbatch_records = 20\n";
/// One reply in so many is lost, and with it those of all commits that share the connection.
const ONE_IN: u32 = 4;

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn lost_replies_lose_and_double_nothing() {
    let seed = seed(SEED);
    let (count, cuts) = dose((10_000, 20), (400_000, 1_000));
    let (kafka, redis) = (kafka(), Redis::start(&redis_server(), Fsync::EverySecond));
    let proxy = Proxy::start(redis.port(), seed, ONE_IN, cuts);
    let log = format!("kafka://{}", kafka.bootstrap());
    let twofold = directory(SETTINGS, &log, &redis.url());
    let (mut events, producer) = (Events::new(seed, count), Producer::new(&kafka.bootstrap()));
    producer.send(events.make(count));
    producer.flush();
    let store = Store::open(&redis.url());
    let mut worker = Worker::start(&twofold, &on(&log, &proxy.url(), &["--json", "update"]));
    until_covered(&store, &kafka.bootstrap(), || worker.supervise());
    assert_eq!(worker.ends, 0, "it bears lost replies");
    let counters = worker.end()["counters"].take();
    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let lost = counters["lost_replies"].as_u64().unwrap();
    let line = format!("{} connections cut at a commit, {lost} found done already", proxy.cuts());
    let outcome = compare(&store, &found, &events, false).with_letters(&kafka.bootstrap());
    outcome.assert_exact("lost_replies", seed, &line, &Stood::default());
    assert!(proxy.cuts() >= cuts && lost > 0, "this does not bite: {counters}");
}
