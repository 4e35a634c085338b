//! Scans: every state once, with the head that they all belong to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Harness;
use super::helpers::{P, claim, commit, committed, head, put, scan, with};

/// All states and nothing else.
pub async fn a_scan_shows_every_state_once(harness: &dyn Harness) {
    const KEYS: usize = 3_000;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut many = commit(lane, None, 1);
    many.states = (0..KEYS).map(|i| put(format!("{i}"), format!("value {i}"))).collect();
    many.states.push(put("", "the empty key"));
    many.derived = vec![put("derived", "not a state")];
    committed(&*store, many).await;
    let mut change = with(commit(lane, Some(1), 2), &[("7", "changed")]);
    change.states.push((b"8".to_vec(), None));
    committed(&*store, change).await;
    let (found, states) = scan(&*store, lane, P).await;
    assert_eq!(found, Some(head(2)));
    assert_eq!(states.len(), KEYS, "one was added, one removed");
    assert_eq!(states[&b""[..]], b"the empty key");
    assert_eq!(states[&b"7"[..]], b"changed");
    assert_eq!(states[&b"9"[..]], b"value 9");
    assert!(!states.contains_key(&b"8"[..]));
}

/// Nothing was committed: no head, and nothing is shown.
pub async fn an_empty_scan_has_no_head(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let (found, states) = scan(&*store, lane, P).await;
    assert_eq!((found, states.len()), (None, 0));
}

/// While commits go on, a scan belongs to one of them, or says that it does not.
pub async fn racing_scans_see_one_commit_or_say_so(harness: &dyn Harness) {
    const KEYS: usize = 700;
    const COMMITS: u64 = 60;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let done = Arc::new(AtomicBool::new(false));
    let scanner = {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut last = false;
            while !last {
                last = done.load(Ordering::SeqCst);
                let (found, states) = scan(&*store, lane, P).await;
                let Some(found) = found else {
                    assert!(states.is_empty(), "no head, no states");
                    continue;
                };
                let next = found.next.0;
                assert_eq!(states.len(), KEYS, "head {next}");
                let value = next.to_string().into_bytes();
                assert!(states.values().all(|found| *found == value), "head {next}");
            }
        })
    };
    for next in 1..=COMMITS {
        let mut one = commit(lane, (next > 1).then(|| next - 1), next);
        one.states = (0..KEYS).map(|i| put(format!("{i}"), next.to_string())).collect();
        committed(&*store, one).await;
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    scanner.await.expect("a scanner that sees one commit");
}
