//! Commits whose states can be computed again from the position alone, so that whatever a fault
//! leaves behind can be checked bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use online_store::{Commit, Error, OnlineStore, Outcome, OwnerToken, Redis, StoredHead};
use record::{LaneId, Offset, Partition};

const KEYS: u64 = 23;
/// Pause before a call that failed is tried again, and how often that may be.
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS_MAX: u32 = 1_500;

pub(crate) type Values = BTreeMap<Vec<u8>, Vec<u8>>;

/// What commit `next` changes: puts of several lengths, and a removal in most of them.
pub(crate) fn changes(next: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let put = |key: u64| {
        let value = format!("{next}:").repeat(1 + (key % 9) as usize).into_bytes();
        (format!("key {}", key % KEYS).into_bytes(), Some(value))
    };
    let mut changes: Vec<_> = (next..next + 5).map(|n| put(n * 7)).collect();
    if !next.is_multiple_of(4) {
        changes.push((format!("key {}", (next * 3) % KEYS).into_bytes(), None));
    }
    changes
}

pub(crate) fn commit(lane: LaneId, partition: Partition, owner: OwnerToken, next: u64) -> Commit {
    Commit {
        lane,
        partition,
        owner,
        expected: (next > 1).then(|| Offset(next - 1)),
        head: StoredHead { next: Offset(next), bytes: format!("head {next}").into_bytes() },
        states: changes(next),
        derived: changes(next),
    }
}

/// The states that commits up to `next` make.
pub(crate) fn expected(next: u64) -> Values {
    let mut values = Values::new();
    for (key, value) in (1..=next).flat_map(changes) {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
    values
}

/// Head, states and derived values belong to one position, which is returned.
pub(crate) async fn check(store: &Redis, lane: LaneId, partition: Partition) -> u64 {
    let mut states = Values::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        states.insert(key.to_vec(), value.to_vec());
    };
    let head = store.scan(lane, partition, &mut visit).await.unwrap();
    let next = head.as_ref().map_or(0, |head| head.next.0);
    assert_eq!(states, expected(next), "states at {next}");
    if let Some(head) = &head {
        assert_eq!(head.bytes, format!("head {next}").into_bytes());
    }
    let keys: Vec<_> = (0..KEYS).map(|key| format!("key {key}").into_bytes()).collect();
    let values: Vec<_> = keys.iter().map(|key| states.get(key).cloned()).collect();
    for found in [
        store.read(lane, partition, &keys).await.unwrap(),
        store.read_derived(lane, partition, &keys).await.unwrap(),
    ] {
        assert_eq!((&found.head, &found.values), (&head, &values));
    }
    next
}

/// Tries again while the store is unavailable, as its callers do; any other error is a failure.
pub(crate) async fn retry<T, F>(mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..ATTEMPTS_MAX {
        match attempt().await {
            Ok(value) => return value,
            Err(Error::Unavailable { .. }) => tokio::time::sleep(PAUSE).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the store never came back");
}

/// What a worker met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) already: u64,
    pub(crate) rewinds: u64,
}

/// The one updater of a (lane, partition): commits on and on until `goal`, tells what was
/// acknowledged, and follows the store when it went back.
pub(crate) async fn work(
    store: Redis,
    (lane, partition): (LaneId, Partition),
    goal: u64,
    acknowledged: Arc<AtomicU64>,
) -> Met {
    let owner = OwnerToken([partition.0 as u8 + 1; 16]);
    let claim = || async {
        let head = retry(|| store.claim(lane, partition, owner)).await;
        head.map_or(0, |head| head.next.0)
    };
    let mut met = Met::default();
    let mut at = claim().await;
    while at < goal {
        let commit = commit(lane, partition, owner, at + 1);
        match retry(|| store.commit(&commit)).await {
            Outcome::Committed => at += 1,
            Outcome::AlreadyCommitted => {
                met.already += 1;
                at += 1;
            }
            Outcome::Moved { stored } => {
                let stored = stored.map_or(0, |stored| stored.0);
                assert!(stored < at, "only back: {at} → {stored}");
                met.rewinds += 1;
                at = stored;
            }
            Outcome::Fenced => {
                met.rewinds += 1;
                at = claim().await;
            }
        }
        acknowledged.store(at, Ordering::SeqCst);
    }
    met
}

/// Waits until a worker was acknowledged so far.
pub(crate) async fn until(acknowledged: &AtomicU64, at: u64) {
    while acknowledged.load(Ordering::SeqCst) < at {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
