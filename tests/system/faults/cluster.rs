//! A master of a Redis Cluster fails over in the middle of a stream: its replica may be behind, and then
//! state and position go back together.

use servers::{Fsync, RedisCluster};

use super::dose::{dose, seed};
use super::ride::{Ride, redis_server};

const SEED: u64 = 105;

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn a_master_that_fails_over_loses_and_doubles_nothing() {
    let seed = seed(SEED);
    let (rate, records) = dose((1_000, 2_000), (10_000, 1_000_000));
    let mut cluster = RedisCluster::start(&redis_server(), 3, 1, Fsync::EverySecond);
    let mut ride = Ride::start(seed, &cluster.url(), rate);
    ride.reach(records / 2);
    let keys = cluster.nodes()[0].ask("DBSIZE").unwrap();
    assert_ne!(keys, "0", "the first master holds nothing: this does not bite");
    ride.strike(|_, _| cluster.kill_master(0));
    // The old master comes back as a replica.
    cluster.nodes()[0].restart();
    ride.reach(records);
    let (outcome, said, stood) = ride.end();
    let dose = format!("a Redis Cluster's master fails over, {} ends by itself", said.ends);
    outcome.assert_exact("cluster", seed, &dose, &stood);
    assert_eq!(said.ends, 0, "a failover is waited for");
    println!("cluster: the updater counts {}", said.counters);
}
