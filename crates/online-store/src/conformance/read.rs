//! Reads: keys, bytes, and head and values from one snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use record::LaneId;

use super::Harness;
use super::helpers::{P, PATIENCE, claim, commit, committed, head, keys, put, read, value, with};
use crate::{OnlineStore, Snapshot};

/// Nothing was ever committed: no head, no values, one answer per key all the same.
pub async fn what_was_never_committed_is_nothing(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    let nothing = Snapshot { head: None, values: vec![None, None] };
    assert_eq!(read(&*store, lane, &["a", "b"]).await, nothing);
    let derived = store.read_derived(lane, P, &keys(["a", "b"])).await.expect("a read");
    assert_eq!(derived, nothing);
}

/// A key that is not there comes with the position it is not there at; so does no key at all.
pub async fn absent_keys_have_the_heads_position(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 8), &[("a", "1")])).await;
    let absent = read(&*store, lane, &["b"]).await;
    assert_eq!(absent, Snapshot { head: Some(head(8)), values: vec![None] });
    let no_keys = read(&*store, lane, &[]).await;
    assert_eq!(no_keys, Snapshot { head: Some(head(8)), values: Vec::new() });
    let derived = store.read_derived(lane, P, &keys(["a"])).await.expect("a read");
    assert_eq!(derived, Snapshot { head: Some(head(8)), values: vec![None] });
}

/// Keys and values come back byte for byte, empty ones too, and prefixes are not confused.
pub async fn keys_and_values_are_any_bytes(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let all: Vec<u8> = (0..=255).collect();
    let states = vec![
        put("", "the empty key"),
        put("empty value", ""),
        put(&all, &all),
        put([0], [0]),
        put([0, 0], [0, 0]),
        put([255, 255], [255]),
        put("{tag}", "braces"),
        put("a:b\r\n", "separators"),
    ];
    let mut one = commit(lane, None, 1);
    one.states.clone_from(&states);
    one.head.bytes.clone_from(&all);
    committed(&*store, one).await;
    let asked = keys(states.iter().map(|(key, _)| key));
    let snapshot = store.read(lane, P, &asked).await.expect("a read");
    for ((key, sent), found) in states.iter().zip(&snapshot.values) {
        assert_eq!(found, sent, "key {key:?}");
    }
    assert_eq!(snapshot.head.expect("a head").bytes, all);
}

/// Any order, any repetition.
pub async fn values_stand_in_the_order_of_the_keys(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 1), &[("a", "1"), ("b", "2")])).await;
    let snapshot = read(&*store, lane, &["b", "x", "a", "b"]).await;
    let expected = [Some(b"2".to_vec()), None, Some(b"1".to_vec()), Some(b"2".to_vec())];
    assert_eq!(snapshot.values, expected);
}

/// A removed key is absent, and may come back.
pub async fn none_removes_a_key(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    committed(&*store, with(commit(lane, None, 1), &[("a", "1"), ("b", "1")])).await;
    let mut removal = commit(lane, Some(1), 2);
    removal.states = vec![(b"a".to_vec(), None), (b"never there".to_vec(), None)];
    committed(&*store, removal).await;
    assert_eq!(value(&*store, lane, "a").await, None);
    assert_eq!(value(&*store, lane, "b").await.as_deref(), Some("1"));
    committed(&*store, with(commit(lane, Some(2), 3), &[("a", "back")])).await;
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("back"));
}

/// Thousands of keys in one commit and in one read.
pub async fn many_keys_at_once(harness: &dyn Harness) {
    const KEYS: usize = 5_000;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut many = commit(lane, None, 1);
    many.states = (0..KEYS).map(|i| put(format!("key {i}"), format!("value {i}"))).collect();
    committed(&*store, many).await;
    let asked = keys((0..KEYS).map(|i| format!("key {i}")));
    let snapshot = store.read(lane, P, &asked).await.expect("a read");
    assert_eq!(snapshot.values.len(), KEYS);
    for (i, value) in snapshot.values.iter().enumerate() {
        assert_eq!(value.as_deref(), Some(format!("value {i}").as_bytes()));
    }
}

/// States and derived values of one key have nothing to do with each other.
pub async fn derived_values_are_apart(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut both = with(commit(lane, None, 1), &[("a", "state")]);
    both.derived = vec![put("a", "derived"), put("b", "derived")];
    committed(&*store, both).await;
    let derived = store.read_derived(lane, P, &keys(["a", "b"])).await.expect("a read");
    assert_eq!(derived.head, Some(head(1)));
    assert_eq!(derived.values, [Some(b"derived".to_vec()), Some(b"derived".to_vec())]);
    assert_eq!(value(&*store, lane, "a").await.as_deref(), Some("state"));
    assert_eq!(value(&*store, lane, "b").await, None);
    let mut removal = commit(lane, Some(1), 2);
    removal.states = vec![(b"a".to_vec(), None)];
    removal.derived = vec![(b"b".to_vec(), None)];
    committed(&*store, removal).await;
    let derived = store.read_derived(lane, P, &keys(["a", "b"])).await.expect("a read");
    assert_eq!(derived.values, [Some(b"derived".to_vec()), None]);
    assert_eq!(value(&*store, lane, "a").await, None);
}

/// While commits go on, head and states of a read belong to one of them.
pub async fn reads_see_one_commit(harness: &dyn Harness) {
    see_one_commit(harness, false).await;
}

/// While commits go on, head and derived values of a read belong to one of them.
pub async fn derived_reads_see_one_commit(harness: &dyn Harness) {
    see_one_commit(harness, true).await;
}

/// Keys that each commit writes the position to; the last one comes and goes.
const RACED: [&str; 5] = ["a", "b", "c", "d", "odd"];

async fn see_one_commit(harness: &dyn Harness, derived: bool) {
    const COMMITS_MIN: u64 = 300;
    const CHANGES_SEEN_MIN: u32 = 30;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let done = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicU32::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done, seen) = (Arc::clone(&store), Arc::clone(&done), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut last = 0;
                while !done.load(Ordering::SeqCst) {
                    let next = check_one_read(&*store, lane, derived).await;
                    assert!(next >= last, "the head went back from {last} to {next}");
                    seen.fetch_add(u32::from(next > last), Ordering::SeqCst);
                    last = next;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let commits = async {
        for next in 1.. {
            // On a busy machine the readers may need longer to get in between.
            if next > COMMITS_MIN && seen.load(Ordering::SeqCst) >= CHANGES_SEEN_MIN {
                return;
            }
            let value = next.to_string();
            let mut one = commit(lane, (next > 1).then(|| next - 1), next);
            let mut changes: Vec<_> = RACED[..4].iter().map(|key| put(key, &value)).collect();
            changes.push((RACED[4].into(), (next % 2 == 1).then(|| value.clone().into_bytes())));
            *(if derived { &mut one.derived } else { &mut one.states }) = changes;
            committed(&*store, one).await;
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, commits).await;
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("a reader that sees one commit");
    }
    assert!(in_time.is_ok(), "the readers must race the commits: they saw {seen:?} changes");
}

async fn check_one_read(store: &dyn OnlineStore, lane: LaneId, derived: bool) -> u64 {
    let asked = keys(RACED);
    let snapshot = match derived {
        true => store.read_derived(lane, P, &asked).await.expect("a read"),
        false => store.read(lane, P, &asked).await.expect("a read"),
    };
    let Some(found) = snapshot.head else {
        assert_eq!(snapshot.values, vec![None; RACED.len()], "no head, no values");
        return 0;
    };
    let next = found.next.0;
    assert_eq!(found, head(next), "position and bytes of one head");
    let value = next.to_string().into_bytes();
    for found in &snapshot.values[..4] {
        assert_eq!(found.as_ref(), Some(&value), "head {next}");
    }
    assert_eq!(snapshot.values[4], (next % 2 == 1).then_some(value), "head {next}");
    next
}
