//! A fail-over in the middle of the work.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use online_store::OnlineStore;
use record::Partition;
use servers::{Fsync, RedisCluster};

use crate::harness::{lane, open, server};
use crate::work::{check, retry, until, work};

const PARTITIONS: u32 = 8;
const GOAL: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_master_that_fails_over_loses_no_consistency() {
    let mut cluster = RedisCluster::start(&server(), 3, 1, Fsync::EverySecond);
    let (store, lane) = (open(&cluster.url()).await, lane());
    let acknowledged: Vec<_> = (0..PARTITIONS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let workers: Vec<_> = (0..PARTITIONS)
        .map(Partition)
        .zip(&acknowledged)
        .map(|(p, acknowledged)| {
            tokio::spawn(work(store.clone(), (lane, p), GOAL, Arc::clone(acknowledged)))
        })
        .collect();
    for acknowledged in &acknowledged {
        until(acknowledged, GOAL / 4).await;
    }
    cluster.kill_master(0);
    for (partition, worker) in workers.into_iter().enumerate() {
        println!("partition {partition}: {:?}", worker.await.unwrap());
    }
    for partition in (0..PARTITIONS).map(Partition) {
        assert_eq!(check(&store, lane, partition).await, GOAL, "partition {partition}");
    }
    assert_eq!(retry(|| store.lanes()).await, [lane]);
    // The old master comes back as a replica; whoever asks it is sent on.
    cluster.nodes()[0].restart();
    let again = open(&cluster.url()).await;
    for partition in (0..PARTITIONS).map(Partition) {
        assert_eq!(check(&again, lane, partition).await, GOAL, "partition {partition}");
    }
    retry(|| again.remove(lane)).await;
    assert_eq!(retry(|| again.lanes()).await, []);
}
