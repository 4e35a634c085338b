use std::collections::BTreeMap;
use std::time::Duration;

use record::{LaneId, Offset, Partition};

use crate::{Commit, Error, OnlineStore, Outcome, OwnerToken, Snapshot, StoredHead};

/// The partition of cases that need only one.
pub(super) const P: Partition = Partition(0);
pub(super) const ME: OwnerToken = OwnerToken([1; 16]);
pub(super) const OTHER: OwnerToken = OwnerToken([2; 16]);
/// How long a store may go on moving under a scan before the suite gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A commit from `expected` to `next` of [`ME`] without changes; its head's bytes tell `next`.
pub(super) fn commit(lane: LaneId, expected: Option<u64>, next: u64) -> Commit {
    Commit {
        lane,
        partition: P,
        owner: ME,
        expected: expected.map(Offset),
        head: head(next),
        states: Vec::new(),
        derived: Vec::new(),
    }
}

pub(super) fn head(next: u64) -> StoredHead {
    StoredHead { next: Offset(next), bytes: format!("head {next}").into_bytes() }
}

/// `commit` with these states put.
pub(super) fn with(mut commit: Commit, states: &[(&str, &str)]) -> Commit {
    commit.states.extend(states.iter().map(|(key, value)| put(key, value)));
    commit
}

pub(super) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.as_ref().to_vec(), Some(value.as_ref().to_vec()))
}

pub(super) fn keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Vec<Vec<u8>> {
    keys.into_iter().map(|key| key.as_ref().to_vec()).collect()
}

pub(super) async fn claim(store: &dyn OnlineStore, lane: LaneId, partition: Partition) {
    store.claim(lane, partition, ME).await.expect("a claim");
}

/// Commits what must go through.
pub(super) async fn committed(store: &dyn OnlineStore, commit: Commit) {
    let what = format!("{:?} → {}", commit.expected, commit.head.next);
    assert_eq!(store.commit(&commit).await.expect("a commit"), Outcome::Committed, "{what}");
}

pub(super) async fn read(store: &dyn OnlineStore, lane: LaneId, of: &[&str]) -> Snapshot {
    store.read(lane, P, &keys(of)).await.expect("a read")
}

/// The value of one key, as text.
pub(super) async fn value(store: &dyn OnlineStore, lane: LaneId, key: &str) -> Option<String> {
    let value = read(store, lane, &[key]).await.values.remove(0);
    value.map(|value| String::from_utf8(value).expect("the text that was put"))
}

/// All states of a (lane, partition); tries again when the head moves.
pub(super) async fn scan(
    store: &dyn OnlineStore,
    lane: LaneId,
    partition: Partition,
) -> (Option<StoredHead>, BTreeMap<Vec<u8>, Vec<u8>>) {
    let until_it_stands = async {
        loop {
            let mut states = BTreeMap::new();
            let mut twice = None;
            let mut visit = |key: &[u8], value: &[u8]| {
                if states.insert(key.to_vec(), value.to_vec()).is_some() {
                    twice = Some(key.to_vec());
                }
            };
            match store.scan(lane, partition, &mut visit).await {
                Ok(head) => {
                    assert_eq!(twice, None, "a key is shown once");
                    return (head, states);
                }
                Err(Error::Moved { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("a scan: {error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, until_it_stands).await.expect("a scan that comes to its end")
}
