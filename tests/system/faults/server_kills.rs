//! The broker and Redis are killed and started again, and Redis comes back with an older copy of its data.

use servers::{Fsync, Redis};

use super::dose::{dose, seed};
use super::ride::{Ride, redis_server};

const SEED_KAFKA: u64 = 103;
const SEED_REDIS: u64 = 104;
/// Events each second.
const RATE: usize = 1_000;

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
    println!("server_kills (Redis): the last life of the updater counts {}", said.counters);
}
