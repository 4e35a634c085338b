//! kill -9 of `update` while a stream goes through Kafka into Redis.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use servers::{Fsync, Redis};

use super::dose::{dose, seed};
use super::events::Events;
use super::oracle::compare;
use super::plain::{self, Producer, TOPIC};
use super::ride::{directory, kafka, on, redis_server, until_covered};
use super::stood::{Stood, until};
use super::store::Store;
use super::worker::Worker;

const SEED: u64 = 102;
/// Small batches, so that there are many moments to die at; little memory, so that states are read
/// again; short sessions, because the group waits for a member that was killed until its session ends.
const SETTINGS: &str = "[updater]\nbatch_records = 100\nmemory_bytes = 1000000\n\
                        [kafka]\nsession_timeout_ms = 2000\npoll_interval_ms_max = 4000\n";

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn kill_9_of_update_loses_and_doubles_nothing() {
    let seed = seed(SEED);
    let (count, kills) = dose((20_000, 3), (1_000_000, 100));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (kafka, redis) = (kafka(), Redis::start(&redis_server(), Fsync::Always));
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let twofold = directory(SETTINGS, &log, &url);
    let (producer, store) = (Producer::new(&kafka.bootstrap()), Store::open(&url));
    let covered = || store.positions().expect("Redis is there").iter().sum::<u64>();
    let mut events = Events::new(seed, count);
    let mut worker = Worker::start(&twofold, &on(&log, &url, &["--json", "update"]));
    let (mut stood, mut at_work) = (Stood::default(), 0);
    for _ in 0..kills {
        producer.send(events.make(count / (kills + 1)));
        producer.flush();
        let (before, all) = (covered(), events.sent.len() as u64 * store.lanes.len() as u64);
        let share = (all - before) * random.random_range(1..80) / 100;
        until("the updater is at work", || covered() > before + share);
        worker.kill();
        let at_death = covered();
        worker.restart();
        if at_death < all {
            at_work += 1;
            stood.add(until("it goes on", || covered() > at_death));
        }
    }
    assert!(at_work * 3 >= kills * 2, "{at_work} of {kills} died at work: this does not bite");
    producer.send(events.make(count - events.sent.len()));
    producer.flush();
    until_covered(&store, &kafka.bootstrap(), || {});
    assert_eq!(worker.ends, 0, "nothing but kills ends it");
    worker.end();
    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let outcome = compare(&store, &found, &events, false).with_letters(&kafka.bootstrap());
    outcome.assert_exact("updater_kills", seed, &format!("{kills} × kill -9 of update"), &stood);
}
