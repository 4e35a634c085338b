//! Crashes and older copies: state and position go back together, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use online_store::{OnlineStore, Outcome, OwnerToken};
use record::{Offset, Partition};
use servers::{Fsync, Redis as Server};

use crate::harness::{lane, open, server};
use crate::work::{check, commit, until, work};

const P: Partition = Partition(0);
const KILLS: u64 = 10;
const BETWEEN: u64 = 40;

/// Kills the server again and again while commits go on; returns how far the acknowledged ones were
/// lost at most.
async fn kill_and_restart(fsync: Fsync) -> u64 {
    let mut redis = Server::start(&server(), fsync);
    let (store, lane) = (open(&redis.url()).await, lane());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let goal = (KILLS + 1) * BETWEEN;
    let worker = tokio::spawn(work(store.clone(), (lane, P), goal, Arc::clone(&acknowledged)));
    let mut lost = 0;
    for kill in 1..=KILLS {
        until(&acknowledged, kill * BETWEEN).await;
        redis.kill();
        let before = acknowledged.load(Ordering::SeqCst);
        redis.restart();
        let other = open(&redis.url()).await;
        let found = other.read(lane, P, &[]).await.unwrap().head.unwrap().next.0;
        lost = lost.max(before.saturating_sub(found));
    }
    let met = worker.await.unwrap();
    println!("{KILLS} kills with {fsync:?}: {met:?}, {lost} lost at most");
    assert_eq!(check(&store, lane, P).await, goal);
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn nothing_acknowledged_is_lost_with_fsync_always() {
    assert_eq!(kill_and_restart(Fsync::Always).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn what_fsync_each_second_loses_is_done_again() {
    kill_and_restart(Fsync::EverySecond).await;
}

/// Both ways out: the next claimer starts where the copy stands, and the owner of before is told.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_restored_copy_rewinds_state_and_position() {
    const OLDER: u64 = 12;
    const NEWER: u64 = 30;
    let me = OwnerToken([1; 16]);
    let mut redis = Server::start(&server(), Fsync::Always);
    let (store, lane) = (open(&redis.url()).await, lane());
    store.claim(lane, P, me).await.unwrap();
    for next in 1..=OLDER {
        assert_eq!(store.commit(&commit(lane, P, me, next)).await.unwrap(), Outcome::Committed);
    }
    let backup = redis.backup();
    for next in OLDER + 1..=NEWER {
        assert_eq!(store.commit(&commit(lane, P, me, next)).await.unwrap(), Outcome::Committed);
    }
    redis.kill();
    redis.restore(&backup);
    redis.restart();
    let store = open(&redis.url()).await;
    let next = commit(lane, P, me, NEWER + 1);
    let moved = Outcome::Moved { stored: Some(Offset(OLDER)) };
    assert_eq!(store.commit(&next).await.unwrap(), moved);
    assert_eq!(check(&store, lane, P).await, OLDER);
    let head = store.claim(lane, P, OwnerToken([2; 16])).await.unwrap();
    assert_eq!(head.unwrap().next, Offset(OLDER));
    assert_eq!(store.commit(&next).await.unwrap(), Outcome::Fenced);
    assert_eq!(check(&store, lane, P).await, OLDER, "a zombie changes nothing");
}

/// Who claimed after the copy was made is unknown to it.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_restored_copy_revives_no_zombie_and_knows_no_later_owner() {
    let (zombie, successor) = (OwnerToken([1; 16]), OwnerToken([2; 16]));
    let mut redis = Server::start(&server(), Fsync::Always);
    let (store, lane) = (open(&redis.url()).await, lane());
    store.claim(lane, P, zombie).await.unwrap();
    store.commit(&commit(lane, P, zombie, 1)).await.unwrap();
    let backup = redis.backup();
    store.claim(lane, P, successor).await.unwrap();
    store.commit(&commit(lane, P, successor, 2)).await.unwrap();
    redis.kill();
    redis.restore(&backup);
    redis.restart();
    let store = open(&redis.url()).await;
    let later = store.commit(&commit(lane, P, successor, 3)).await.unwrap();
    assert_eq!(later, Outcome::Fenced, "it claims again and starts at the copy's position");
    store.claim(lane, P, OwnerToken([3; 16])).await.unwrap();
    let late = store.commit(&commit(lane, P, zombie, 2)).await.unwrap();
    assert_eq!(late, Outcome::Fenced);
    assert_eq!(check(&store, lane, P).await, 1);
}

/// Wherever the file ends after a power failure, a commit is in it whole or not at all.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_torn_append_only_file_holds_whole_commits() {
    const COMMITS: u64 = 20;
    const CUTS: u64 = 25;
    let me = OwnerToken([1; 16]);
    let mut redis = Server::start(&server(), Fsync::Always);
    let (store, lane) = (open(&redis.url()).await, lane());
    store.claim(lane, P, me).await.unwrap();
    for next in 1..=COMMITS {
        store.commit(&commit(lane, P, me, next)).await.unwrap();
    }
    redis.kill();
    let whole = redis.backup();
    let bytes = whole.bytes();
    let mut heads = std::collections::BTreeSet::new();
    for cut in 0..CUTS {
        redis.restore(&whole);
        redis.truncate(bytes * (cut + 1) / (CUTS + 1));
        redis.restart();
        heads.insert(check(&open(&redis.url()).await, lane, P).await);
        redis.kill();
    }
    println!("cut at {CUTS} places: heads {heads:?}");
    assert!(heads.len() > CUTS as usize / 3, "{heads:?}");
}
