//! The broker and Redis are killed and started again, the broker is kept out of its own cluster, Redis comes back
//! with an older copy of its data, and an updater starts before either of them.

use std::time::Duration;

use servers::{Fsync, Kafka, Redis};

use super::dose::{dose, seed};
use super::events::{Events, Sent};
use super::oracle::compare;
use super::plain::{self, Producer, TOPIC};
use super::ride::{Ride, SETTINGS, directory, kafka, kafka_libs, on, redis_server, until_covered};
use super::stood::{Stood, until};
use super::store::Store;
use super::worker::Worker;

const SEED_KAFKA: u64 = 103;
const SEED_REDIS: u64 = 104;
const SEED_START: u64 = 110;
const SEED_FENCED: u64 = 111;
/// Events each second.
const RATE: usize = 1_000;
/// The broker is kept out for a second of every six.
const UNSTEADY_MS: u32 = 6_000;
/// Events between two times that it is.
const EVENTS: usize = 500;
/// How long an updater has to do without a server at its start.
const ALONE: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn a_broker_that_is_killed_loses_and_doubles_nothing() {
    let (seed, kills) = (seed(SEED_KAFKA), dose(2, 20));
    let redis = Redis::start(&redis_server(), Fsync::Always);
    let mut ride = Ride::start(seed, &redis.url(), RATE);
    for _ in 0..kills {
        ride.strike(|kafka, _| kafka.restart());
    }
    let (outcome, said, stood) = ride.end();
    let line = format!("{kills} × kill -9 of the broker, {} ends by itself", said.ends);
    outcome.assert_exact("server_kills (Kafka)", seed, &line, &stood);
    assert_eq!(said.ends, 0, "a broker that restarts is waited for");
}

/// Sends records until all have arrived, each time with a producer of its own: one that was there before may have lost
/// its broker.
fn send_again(bootstrap: &str, records: &[Sent]) {
    until("records arrive", || {
        let producer = Producer::new(bootstrap);
        producer.send(records);
        producer.arrives_within(Duration::from_secs(10))
    });
}

/// Its controller keeps it out (fences it) for a moment, again and again: meanwhile it answers, and names no
/// broker, itself included.
#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn a_broker_that_is_kept_out_of_its_cluster_loses_and_doubles_nothing() {
    let (seed, times) = (seed(SEED_FENCED), dose(3, 20));
    let mut kafka = Kafka::start_unsteady(&kafka_libs(), UNSTEADY_MS);
    let redis = Redis::start(&redis_server(), Fsync::Always);
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    // So every client asks for the brokers while none is named.
    let often = "[kafka.properties]\n\"topic.metadata.refresh.interval.ms\" = \"100\"\n";
    let twofold = directory(&format!("{SETTINGS}{often}"), &log, &url);
    let store = Store::open(&url);
    let (mut events, mut stood) = (Events::new(seed, times * EVENTS), Stood::default());
    let mut worker = Worker::start(&twofold, &on(&log, &url, &["--json", "update"]));
    for _ in 0..times {
        for kept_out in [true, false] {
            until("the controller", || kafka.is_fenced() == Some(kept_out));
        }
        send_again(&kafka.bootstrap(), events.make(EVENTS));
        stood.add(until_covered(&store, &kafka.bootstrap(), || worker.supervise()));
    }
    kafka.restart_steady();
    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let outcome = compare(&store, &found, &events, true).with_letters(&kafka.bootstrap());
    let line = format!("{times} × the broker kept out, {} ends by itself", worker.ends);
    outcome.assert_exact("server_kills (fenced)", seed, &line, &stood);
    assert_eq!(worker.ends, 0, "a broker that is kept out for a moment is found again");
    worker.end();
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn a_redis_that_is_killed_or_restored_loses_and_doubles_nothing() {
    let (seed, (kills, restores)) = (seed(SEED_REDIS), dose((2, 2), (20, 10)));
    // A copy is made of files that nobody rewrites.
    let still = ["--auto-aof-rewrite-percentage", "0"];
    let mut redis = Redis::start_with(&redis_server(), Fsync::Always, &still);
    let mut ride = Ride::start(seed, &redis.url(), RATE);
    for _ in 0..kills {
        ride.strike(|_, _| redis.restart());
    }
    for restore in 0..restores {
        let copy = redis.backup();
        // Every other copy knows an earlier owner, so that the updater is fenced off and has to come again.
        if restore % 2 == 1 {
            ride.worker.kill();
            ride.worker.restart();
        }
        ride.go_on();
        ride.strike(|_, _| {
            redis.kill();
            redis.restore(&copy);
            redis.restart();
        });
    }
    let (outcome, said, stood) = ride.end();
    let line = format!(
        "{kills} × kill -9 of Redis, {restores} × an older copy of it, {} ends by itself",
        said.ends
    );
    outcome.assert_exact("server_kills (Redis)", seed, &line, &stood);
    assert_eq!(
        said.ends, 0,
        "a Redis that restarts is waited for, and an older one caught up with"
    );
    println!("server_kills (Redis): the last life of the updater counts {}", said.counters);
}

/// As when a machine starts, or everything on it: whoever is first waits for the others.
#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn an_updater_that_starts_before_its_servers_waits_for_them() {
    let (seed, count) = (seed(SEED_START), 2_000);
    let (mut kafka, mut redis) = (kafka(), Redis::start(&redis_server(), Fsync::Always));
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let twofold = directory(SETTINGS, &log, &url);
    let (producer, store) = (Producer::new(&kafka.bootstrap()), Store::open(&url));
    let mut events = Events::new(seed, count);
    producer.send(events.make(count));
    producer.flush();
    kafka.kill();
    redis.kill();
    let mut worker = Worker::start(&twofold, &on(&log, &url, &["--json", "update"]));
    // It meets no server at first, then one of the two.
    std::thread::sleep(ALONE);
    redis.restart();
    std::thread::sleep(ALONE);
    worker.supervise();
    kafka.restart();
    until_covered(&store, &kafka.bootstrap(), || worker.supervise());
    assert_eq!(worker.ends, 0, "it waits");
    worker.end();
    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let outcome = compare(&store, &found, &events, false).with_letters(&kafka.bootstrap());
    let line = "an updater that starts before its servers";
    outcome.assert_exact("server_kills (start)", seed, line, &Stood::default());
}
