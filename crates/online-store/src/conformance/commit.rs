//! Compare-and-swap: who may commit, from where, and what is written when he may not.

use std::sync::Arc;

use record::Offset;

use super::Harness;
use super::helpers::{ME, OTHER, P, claim, commit, committed, head, put, read, value, with};
use crate::{Error, KEY_BYTES_MAX, Outcome, OwnerToken, VALUE_BYTES_MAX};

/// Nothing stored: `expected` is nothing, at whatever position the log begins.
pub async fn the_first_commit_expects_nothing(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let too_far = store.commit(&commit(lane, Some(3), 7)).await.expect("a commit");
    assert_eq!(too_far, Outcome::Moved { stored: None });
    committed(&*store, with(commit(lane, None, 7), &[("a", "1")])).await;
    assert_eq!(read(&*store, lane, &[]).await.head, Some(head(7)));
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("1"));
}

/// Each commit starts where the last one ended and changes what it names only.
pub async fn commits_follow_each_other(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 1), &[("a", "1"), ("b", "1")])).await;
    committed(&*store, with(commit(lane, Some(1), 5), &[("a", "5")])).await;
    committed(&*store, with(commit(lane, Some(5), 6), &[("c", "6")])).await;
    let snapshot = read(&*store, lane, &["a", "b", "c"]).await;
    assert_eq!(snapshot.head, Some(head(6)));
    assert_eq!(snapshot.values, [Some(b"5".to_vec()), Some(b"1".to_vec()), Some(b"6".to_vec())]);
}

/// The same commit again is known as done, and not done twice.
pub async fn a_lost_reply_is_recognised(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let first = with(commit(lane, None, 4), &[("a", "first")]);
    committed(&*store, first.clone()).await;
    assert_eq!(store.commit(&first).await.expect("a retry"), Outcome::AlreadyCommitted);
    let second = with(commit(lane, Some(4), 9), &[("a", "second")]);
    committed(&*store, second.clone()).await;
    assert_eq!(store.commit(&second).await.expect("a retry"), Outcome::AlreadyCommitted);
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("second"));
}

/// From any other position: what is stored is told, and nothing is written.
pub async fn gaps_and_replays_are_refused(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 10), &[("a", "10")])).await;
    for (expected, next) in [(None, 5), (Some(5), 8), (Some(11), 12), (Some(0), 11), (None, 11)] {
        let refused = with(commit(lane, expected, next), &[("a", "wrong"), ("b", "wrong")]);
        let outcome = store.commit(&refused).await.expect("a commit");
        let moved = Outcome::Moved { stored: Some(Offset(10)) };
        assert_eq!(outcome, moved, "{expected:?} → {next}");
    }
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("10"));
    assert_eq!(value(&*store, lane, "b").await, None);
}

/// A commit that does not move the position, such as a sweep, is written each time.
pub async fn a_commit_may_stay_where_it_is(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 3), &[("a", "1"), ("b", "1")])).await;
    let mut sweep = commit(lane, Some(3), 3);
    sweep.states.push((b"a".to_vec(), None));
    committed(&*store, sweep.clone()).await;
    committed(&*store, sweep).await;
    assert_eq!(value(&*store, lane, "a").await, None);
    assert_eq!(value(&*store, lane, "b").await.as_deref(), Some("1"));
}

/// Nobody commits without a claim.
pub async fn unclaimed_commits_are_fenced(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    let outcome = store.commit(&with(commit(lane, None, 1), &[("a", "1")])).await;
    assert_eq!(outcome.expect("a commit"), Outcome::Fenced);
    assert_eq!(read(&*store, lane, &["a"]).await.head, None);
}

/// The last claimer is the only one, even for a commit that would be a retry.
pub async fn a_claim_fences_the_one_before(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let first = with(commit(lane, None, 1), &[("a", "1")]);
    committed(&*store, first.clone()).await;
    store.claim(lane, P, OTHER).await.expect("a claim");
    for late in [with(commit(lane, Some(1), 2), &[("a", "late")]), first] {
        assert_eq!(store.commit(&late).await.expect("a commit"), Outcome::Fenced);
    }
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("1"));
    let mut next = with(commit(lane, Some(1), 2), &[("a", "2")]);
    next.owner = OTHER;
    committed(&*store, next).await;
}

/// A claim tells where the states stand, and changes nothing of them.
pub async fn a_claim_returns_the_head(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    assert_eq!(store.claim(lane, P, ME).await.expect("a claim"), None);
    assert_eq!(store.claim(lane, P, ME).await.expect("a claim again"), None);
    assert_eq!(read(&*store, lane, &[]).await.head, None, "a claim is not a head");
    committed(&*store, with(commit(lane, None, 3), &[("a", "1")])).await;
    assert_eq!(store.claim(lane, P, OTHER).await.expect("a claim"), Some(head(3)));
    assert_eq!(store.claim(lane, P, ME).await.expect("a claim"), Some(head(3)));
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("1"));
}

/// Refused for whatever reason: neither states nor derived values nor the head change.
pub async fn a_refused_commit_writes_nothing(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut good = with(commit(lane, None, 3), &[("a", "good")]);
    good.derived.push(put("a", "good"));
    committed(&*store, good).await;
    let mut moved = with(commit(lane, Some(2), 4), &[("a", "bad")]);
    moved.states.push((b"a".to_vec(), None));
    moved.derived.push(put("a", "bad"));
    let mut fenced = moved.clone();
    fenced.expected = Some(Offset(3));
    fenced.owner = OTHER;
    for refused in [moved, fenced] {
        let outcome = store.commit(&refused).await.expect("a commit");
        assert!(matches!(outcome, Outcome::Moved { .. } | Outcome::Fenced), "{outcome:?}");
        let derived = store.read_derived(lane, P, &[b"a".to_vec()]).await.expect("a read");
        assert_eq!(derived.values, [Some(b"good".to_vec())]);
        assert_eq!(derived.head, Some(head(3)));
        assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("good"));
    }
}

/// A key named more than once in a commit has its last value.
pub async fn the_last_of_equal_keys_counts(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut twice = with(commit(lane, None, 1), &[("a", "1"), ("b", "1"), ("a", "2")]);
    twice.states.push((b"b".to_vec(), None));
    twice.derived = vec![put("d", "1"), put("d", "2")];
    committed(&*store, twice).await;
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("2"));
    assert_eq!(value(&*store, lane, "b").await, None);
    let derived = store.read_derived(lane, P, &[b"d".to_vec()]).await.expect("a read");
    assert_eq!(derived.values, [Some(b"2".to_vec())]);
}

/// One key or value too large: an error, and nothing of the commit is written.
pub async fn too_large_is_refused_whole(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 1), &[("a", "1")])).await;
    for large in
        [put(vec![b'k'; KEY_BYTES_MAX + 1], "v"), put("k", vec![b'v'; VALUE_BYTES_MAX + 1])]
    {
        let mut refused = with(commit(lane, Some(1), 2), &[("a", "2")]);
        refused.states.push(large);
        let outcome = store.commit(&refused).await;
        assert!(matches!(outcome, Err(Error::TooLarge { .. })), "{outcome:?}");
    }
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("1"));
    assert_eq!(read(&*store, lane, &[]).await.head, Some(head(1)));
    let (key, large) = ("k".repeat(KEY_BYTES_MAX), "x".repeat(VALUE_BYTES_MAX));
    committed(&*store, with(commit(lane, Some(1), 2), &[(&key, &large)])).await;
    assert!(value(&*store, lane, &key).await == Some(large), "the largest key and value");
}

/// Of commits from one position to different ones exactly one goes through.
pub async fn one_of_racing_commits_wins(harness: &dyn Harness) {
    const RACERS: u64 = 8;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut expected = None;
    for round in 0..20 {
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let store = Arc::clone(&store);
                let next = (round + 1) * 100 + racer;
                let racing = with(commit(lane, expected, next), &[("winner", &racer.to_string())]);
                tokio::spawn(async move { (racer, next, store.commit(&racing).await) })
            })
            .collect();
        let mut winner = None;
        for racer in racers {
            let (racer, next, outcome) = racer.await.expect("a racer that does not panic");
            match outcome.expect("a commit") {
                Outcome::Committed => {
                    assert_eq!(winner.replace((racer, next)), None, "two winners")
                }
                Outcome::Moved { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let (racer, next) = winner.expect("one goes through");
        assert_eq!(value(&*store, lane, "winner").await, Some(racer.to_string()));
        assert_eq!(read(&*store, lane, &[]).await.head, Some(head(next)));
        expected = Some(next);
    }
}

/// Owners that claim and commit at the same time: each position is committed by the owner of that
/// moment, none is skipped, none is done twice.
pub async fn claims_and_commits_may_race(harness: &dyn Harness) {
    const GOAL: u64 = 60;
    let (store, lane) = (harness.open().await, harness.lane());
    let owners: Vec<_> = (1..=4u8)
        .map(|owner| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let owner = OwnerToken([owner; 16]);
                let mut done = Vec::new();
                loop {
                    let stored = store.claim(lane, P, owner).await.expect("a claim");
                    let mut at = stored.map(|head| head.next.0);
                    for _ in 0..5 {
                        let next = at.unwrap_or(0) + 1;
                        if next > GOAL {
                            return done;
                        }
                        let mut one = with(commit(lane, at, next), &[("count", &next.to_string())]);
                        one.owner = owner;
                        match store.commit(&one).await.expect("a commit") {
                            Outcome::Committed => done.push(next),
                            Outcome::Fenced => break,
                            other => panic!("{other:?} by the only one who may move the head"),
                        }
                        at = Some(next);
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut done = Vec::new();
    for owner in owners {
        done.extend(owner.await.expect("an owner that does not panic"));
    }
    done.sort_unstable();
    assert_eq!(done, (1..=GOAL).collect::<Vec<_>>(), "each position once");
    assert_eq!(value(&*store, lane, "count").await, Some(GOAL.to_string()));
}
