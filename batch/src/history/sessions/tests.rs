use std::num::NonZeroU32;

use definitions::parse::{File, parse};
use fold::Ledger;
use record::{LogId, Offset, Partition};

use super::*;
use crate::Extent;

const MINUTE: i64 = 60_000_000;

pub(crate) fn definitions() -> definitions::Definitions {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../feature-definitions");
    let paths = [
        "sources/clickstream.toml",
        "sources/catalog.toml",
        "groups/item_attributes.toml",
        "groups/item_popularity.toml",
        "groups/user_activity.toml",
        "groups/user_interest.toml",
        "models/ranker.toml",
    ];
    let file = |path: &str| File {
        path: path.to_owned(),
        text: std::fs::read_to_string(format!("{root}/{path}")).unwrap(),
    };
    parse(&paths.map(file)).unwrap()
}

/// (visitor, session, minute, item)
fn history(events: &[(u32, u32, i64, u32)]) -> History {
    let event = |(n, &(visitor, session, minute, item)): (usize, &(u32, u32, i64, u32))| Event {
        at: EventTime(minute * MINUTE),
        offset: Offset(n as u64),
        partition: Partition(0),
        visitor,
        item,
        session: NonZeroU32::new(session),
        kind: 0,
    };
    let (lane, _) = super::super::visitors(&definitions()).unwrap();
    History {
        tracked: Vec::new(),
        lane,
        extent: Extent { log: LogId([0; 16]), ends: vec![Offset(events.len() as u64)] },
        ledger: Ledger::default(),
        without_item: 0,
        visitors: ["v", "w"].map(Arc::from).to_vec(),
        items: ["a", "b", "c", "d"].map(Arc::from).to_vec(),
        kinds: vec![Arc::from("view")],
        events: events.iter().enumerate().map(event).collect(),
    }
}

fn sessions(history: &History, cut: i64) -> Vec<(String, i64)> {
    let sessions = history.sessions(EventTime(cut * MINUTE), IDLE_US);
    sessions.map(|s| (s.items.concat(), s.end_us / MINUTE)).collect()
}

#[test]
fn a_session_ends_with_its_id_or_else_after_a_pause() {
    let by_pause = history(&[(0, 0, 0, 0), (0, 0, 30, 1), (0, 0, 61, 2), (1, 0, 61, 3)]);
    let expected = [("ab", 30), ("c", 61), ("d", 61)].map(|(s, end)| (s.to_owned(), end));
    assert_eq!(sessions(&by_pause, 1_000), expected);
    let by_id = history(&[(0, 1, 0, 0), (0, 1, 90, 1), (0, 2, 91, 2)]);
    let expected = [("ab", 90), ("c", 91)].map(|(s, end)| (s.to_owned(), end));
    assert_eq!(sessions(&by_id, 1_000), expected);
}

#[test]
fn what_lies_after_the_cut_has_no_say() {
    let events = [(0, 1, 0, 0), (0, 1, 10, 1), (0, 1, 50, 2), (1, 0, 20, 3)];
    for known in 2..=events.len() {
        // At minute 45 the events at 50 are not known, and that at 20 is too fresh to be closed.
        let with_future = sessions(&history(&events), 45);
        let events: Vec<_> = events.iter().copied().filter(|e| e.2 < 45).collect();
        assert_eq!(with_future, sessions(&history(&events), 45), "{known}");
        assert_eq!(with_future, [("ab".to_owned(), 10)]);
    }
}
