//! Scans of several pages: whatever happens between two of them is noticed.

use std::collections::BTreeSet;

use online_store::{Commit, Error, OnlineStore, Outcome, OwnerToken, Redis, StoredHead};
use record::{LaneId, Offset, Partition};
use servers::{Fsync, Redis as Server};
use tokio::runtime::Handle;

use crate::harness::{Shared, lane, open, server};
use crate::work::retry;

const P: Partition = Partition(0);
const ME: OwnerToken = OwnerToken([1; 16]);
const KEYS: u64 = 20_000;

fn commit(lane: LaneId, expected: Option<u64>, next: u64) -> Commit {
    Commit {
        lane,
        partition: P,
        owner: ME,
        expected: expected.map(Offset),
        head: StoredHead { next: Offset(next), bytes: Vec::new() },
        states: Vec::new(),
        derived: Vec::new(),
    }
}

async fn filled(store: &Redis) -> LaneId {
    let lane = lane();
    store.claim(lane, P, ME).await.unwrap();
    let mut all = commit(lane, None, 1);
    all.states = (0..KEYS).map(|key| (key.to_be_bytes().to_vec(), Some(vec![1; 8]))).collect();
    assert_eq!(store.commit(&all).await.unwrap(), Outcome::Committed);
    lane
}

/// Scans, and does something once, after the first state was shown.
async fn scan_and(
    store: &Redis,
    lane: LaneId,
    something: impl AsyncFnOnce() + Send,
) -> (Result<Option<StoredHead>, Error>, BTreeSet<Vec<u8>>) {
    let mut something = Some(something);
    let mut shown = BTreeSet::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        assert!(shown.insert(key.to_vec()), "a key is shown once");
        if let Some(something) = something.take() {
            tokio::task::block_in_place(|| Handle::current().block_on(something()));
        }
    };
    let result = store.scan(lane, P, &mut visit).await;
    (result, shown)
}

fn moved(result: &Result<Option<StoredHead>, Error>) {
    assert!(matches!(result, Err(Error::Moved { .. })), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_commit_between_two_pages_is_noticed() {
    let shared = Shared::one();
    let store = shared.store().await;
    let lane = filled(&store).await;
    let (result, shown) = scan_and(&store, lane, async || ()).await;
    assert_eq!((result.unwrap().unwrap().next, shown.len() as u64), (Offset(1), KEYS));
    // One that stays where it is as well as one that moves on.
    for next in [1, 2] {
        let change = async || {
            let outcome = store.commit(&commit(lane, Some(1), next)).await;
            assert_eq!(outcome.unwrap(), Outcome::Committed);
        };
        moved(&scan_and(&store, lane, change).await.0);
    }
    let rebuild = async || {
        store.remove(lane).await.unwrap();
        store.claim(lane, P, ME).await.unwrap();
        for (expected, next) in [(None, 1), (Some(1), 2)] {
            store.commit(&commit(lane, expected, next)).await.unwrap();
        }
    };
    moved(&scan_and(&store, lane, rebuild).await.0);
}

/// Another process has another hash table: the old cursor would skip states.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_restart_between_two_pages_is_noticed() {
    let mut redis = Server::start(&server(), Fsync::Always);
    let store = open(&redis.url()).await;
    let lane = filled(&store).await;
    let restart = async || {
        redis.restart();
        retry(|| store.read(lane, P, &[])).await;
    };
    moved(&scan_and(&store, lane, restart).await.0);
    let (result, shown) = scan_and(&store, lane, async || ()).await;
    assert_eq!((result.unwrap().unwrap().next, shown.len() as u64), (Offset(1), KEYS));
}

/// A table that is shrinking when the scan begins, and ends it in between: reads drive it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_shrinking_hash_shows_its_states_once() {
    const STAY: u64 = 2_000;
    let shared = Shared::one();
    let store = shared.store().await;
    let lane = filled(&store).await;
    let mut removal = commit(lane, Some(1), 2);
    removal.states = (STAY..KEYS).map(|key| (key.to_be_bytes().to_vec(), None)).collect();
    assert_eq!(store.commit(&removal).await.unwrap(), Outcome::Committed);
    let drive = async || {
        let keys: Vec<_> = (0..STAY).map(|key| key.to_be_bytes().to_vec()).collect();
        for _ in 0..50 {
            store.read(lane, P, &keys).await.unwrap();
        }
    };
    let (result, shown) = scan_and(&store, lane, drive).await;
    assert_eq!((result.unwrap().unwrap().next, shown.len() as u64), (Offset(2), STAY));
}
