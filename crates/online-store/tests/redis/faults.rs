//! Somebody else has his hands in the server.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use online_store::{Error, OnlineStore, OwnerToken};
use record::{LaneId, Partition};
use servers::{Fsync, Redis as Server};

use crate::harness::{lane, open, server};
use crate::work::{check, commit, until, work};

const P: Partition = Partition(0);

fn name(lane: LaneId) -> String {
    format!("twofold:1:{{{lane}:0}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn flushed_functions_are_loaded_again() {
    const GOAL: u64 = 300;
    const FLUSHES: u64 = 20;
    let redis = Server::start(&server(), Fsync::EverySecond);
    let (store, lane) = (open(&redis.url()).await, lane());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let worker = tokio::spawn(work(store.clone(), (lane, P), GOAL, Arc::clone(&acknowledged)));
    for flush in 1..=FLUSHES {
        until(&acknowledged, flush * (GOAL - 10) / FLUSHES).await;
        assert_eq!(redis.ask("FUNCTION FLUSH").unwrap(), "OK");
    }
    worker.await.unwrap();
    assert_eq!(redis.ask("FUNCTION FLUSH").unwrap(), "OK");
    assert_eq!(check(&store, lane, P).await, GOAL);
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn another_type_in_the_place_is_damage() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let (store, lane) = (open(&redis.url()).await, lane());
    assert_eq!(redis.ask(&format!("SET {} x", name(lane))).unwrap(), "OK");
    let me = OwnerToken([1; 16]);
    let damaged = |error: Error| assert!(matches!(error, Error::Damaged { .. }), "{error}");
    damaged(store.claim(lane, P, me).await.unwrap_err());
    damaged(store.commit(&commit(lane, P, me, 1)).await.unwrap_err());
    damaged(store.read(lane, P, &[]).await.unwrap_err());
    damaged(store.read_derived(lane, P, &[]).await.unwrap_err());
    damaged(store.scan(lane, P, &mut |_, _| {}).await.unwrap_err());
    damaged(store.lanes().await.unwrap_err());
    store.remove(lane).await.unwrap();
    assert_eq!(store.claim(lane, P, me).await.unwrap(), None, "removed, it is a lane like any");
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_torn_head_is_damage() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let (store, lane) = (open(&redis.url()).await, lane());
    let me = OwnerToken([1; 16]);
    store.claim(lane, P, me).await.unwrap();
    store.commit(&commit(lane, P, me, 1)).await.unwrap();
    redis.ask(&format!("HSET {} \"\" abc", name(lane))).unwrap();
    let damaged = |error: Error| assert!(matches!(error, Error::Damaged { .. }), "{error}");
    damaged(store.commit(&commit(lane, P, me, 2)).await.unwrap_err());
    damaged(store.read(lane, P, &[]).await.unwrap_err());
    damaged(store.scan(lane, P, &mut |_, _| {}).await.unwrap_err());
    damaged(store.claim(lane, P, me).await.unwrap_err());
}

/// Keys of others are neither lanes nor removed.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn keys_of_others_are_left_alone() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let (store, lane) = (open(&redis.url()).await, lane());
    for other in ["another", "twofold:1:{x}", "shop:1:{0000000000000001:0}"] {
        redis.ask(&format!("SET {other} x")).unwrap();
    }
    let me = OwnerToken([1; 16]);
    store.claim(lane, P, me).await.unwrap();
    store.commit(&commit(lane, P, me, 1)).await.unwrap();
    assert_eq!(store.lanes().await.unwrap(), [lane]);
    store.remove(lane).await.unwrap();
    assert_eq!(redis.ask("DBSIZE").unwrap(), "3");
}
