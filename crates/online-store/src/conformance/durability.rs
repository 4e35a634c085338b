//! What outlives the process that wrote it.

use super::Harness;
use super::helpers::{ME, OTHER, P, claim, commit, committed, head, put, scan, with};
use crate::Outcome;

/// States, derived values, heads and owner tokens are there for the next process.
pub async fn commits_and_owners_survive_reopening(harness: &dyn Harness) {
    let lane = harness.lane();
    let store = harness.open().await;
    store.claim(lane, P, OTHER).await.expect("a claim");
    claim(&*store, lane, P).await;
    let mut first = with(commit(lane, None, 5), &[("a", "1"), ("gone", "1")]);
    first.derived.push(put("a", "derived"));
    committed(&*store, first).await;
    let mut second = commit(lane, Some(5), 6);
    second.states.push((b"gone".to_vec(), None));
    committed(&*store, second.clone()).await;
    drop(store);
    let store = harness.open().await;
    assert_eq!(store.commit(&second).await.expect("a retry"), Outcome::AlreadyCommitted);
    let (found, states) = scan(&*store, lane, P).await;
    assert_eq!(found, Some(head(6)));
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [(b"a".to_vec(), b"1".to_vec())]);
    let derived = store.read_derived(lane, P, &[b"a".to_vec()]).await.expect("a read");
    assert_eq!(derived.values, [Some(b"derived".to_vec())]);
    let mut zombie = commit(lane, Some(6), 7);
    zombie.owner = OTHER;
    assert_eq!(store.commit(&zombie).await.expect("a commit"), Outcome::Fenced);
    committed(&*store, commit(lane, Some(6), 7)).await;
    assert_eq!(store.claim(lane, P, ME).await.expect("a claim"), Some(head(7)));
}

/// What was removed does not come back.
pub async fn removals_survive_reopening(harness: &dyn Harness) {
    let lane = harness.lane();
    let store = harness.open().await;
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 5), &[("a", "1")])).await;
    store.remove(lane).await.expect("a removal");
    drop(store);
    let store = harness.open().await;
    let (found, states) = scan(&*store, lane, P).await;
    assert_eq!((found, states.len()), (None, 0));
    assert!(!store.lanes().await.expect("the lanes").contains(&lane));
}
