//! Pages: states a few at a time, while commits go on.

use std::collections::BTreeMap;

use record::LaneId;

use super::Harness;
use super::helpers::{P, claim, commit, committed, head, put, with};
use crate::{OnlineStore, StoredHead};

/// Pages that a walk over so few states may come to.
const PAGES_MAX: usize = 10_000;

/// Walks to the end; the heads of its pages, and the last state that was shown of each key. `between` is told
/// after each page.
async fn walk(
    store: &dyn OnlineStore,
    lane: LaneId,
    keys: usize,
    mut between: impl AsyncFnMut(usize),
) -> (Vec<Option<StoredHead>>, BTreeMap<Vec<u8>, Vec<u8>>) {
    let (mut heads, mut states, mut from) = (Vec::new(), BTreeMap::new(), Vec::new());
    for number in 0..PAGES_MAX {
        let page = store.page(lane, P, &from, keys).await.expect("a page");
        heads.push(page.head);
        states.extend(page.states);
        match page.next {
            Some(next) => from = next,
            None => return (heads, states),
        }
        between(number).await;
    }
    panic!("a walk that does not end");
}

/// Every state, nothing else, and a few at a time.
pub async fn a_walk_shows_every_state(harness: &dyn Harness) {
    const KEYS: usize = 2_000;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut many = commit(lane, None, 1);
    many.states = (0..KEYS).map(|i| put(format!("{i}"), format!("value {i}"))).collect();
    many.states.push(put("", "the empty key"));
    many.states.push(put([0xff, 0xff], "the last key"));
    many.derived = vec![put("derived", "not a state")];
    committed(&*store, many).await;
    for keys in [0, 1, 7, 100, 10_000] {
        let (heads, states) = walk(&*store, lane, keys, async |_| {}).await;
        assert!(heads.iter().all(|found| *found == Some(head(1))));
        assert_eq!(states.len(), KEYS + 2, "{keys} at a time");
        assert_eq!(states[&b""[..]], b"the empty key");
        assert_eq!(states[&b"77"[..]], b"value 77");
        assert_eq!(states[&[0xff, 0xff][..]], b"the last key");
    }
    let first = store.page(lane, P, &[], 100).await.expect("a page");
    assert!(first.states.len() < KEYS / 4, "{} states are no page", first.states.len());
}

/// Nothing was committed: no head, and nothing is shown.
pub async fn an_empty_walk_has_no_head(harness: &dyn Harness) {
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let (heads, states) = walk(&*store, lane, 10, async |_| {}).await;
    assert_eq!((heads, states.len()), (vec![None], 0));
}

/// What is there all the while is shown, whatever comes and goes; each page's states are those of its head.
pub async fn a_walk_goes_on_while_states_come_and_go(harness: &dyn Harness) {
    const KEYS: usize = 1_500;
    let (store, lane) = (harness.open().await, harness.lane());
    claim(&*store, lane, P).await;
    let mut many = commit(lane, None, 1);
    many.states = (0..KEYS).map(|i| put(format!("stays {i}"), "1")).collect();
    committed(&*store, many).await;
    let mut next = 1;
    let change = async |number: usize| {
        next += 1;
        let text = next.to_string();
        let mut change = with(commit(lane, Some(next - 1), next), &[("changes", &text)]);
        let comes = (0..40).map(|i| put(format!("comes {number} {i}"), &text));
        change.states.extend(comes);
        if number > 0 {
            let goes = (0..40).map(|i| (format!("comes {} {i}", number - 1).into_bytes(), None));
            change.states.extend(goes);
        }
        committed(&*store, change).await;
    };
    let (heads, states) = walk(&*store, lane, 50, change).await;
    assert!(heads.len() > 10 && heads.is_sorted_by_key(|head| head.as_ref().map(|h| h.next)));
    let stays = states.keys().filter(|key| key.starts_with(b"stays")).count();
    assert_eq!(stays, KEYS);
}
