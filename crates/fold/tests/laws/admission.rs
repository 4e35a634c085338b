//! The parts of admission by themselves: batch scans the watermark first and judges keys later, in any
//! order of keys, and comes to the same verdicts.

use std::collections::BTreeMap;

use definitions::Reason;
use fold::{IDENTITIES_MAX, Identities, Identity, Verdict, Watermark};
use proptest::prelude::*;
use record::{AppendTime, EventTime};

use super::{fixture::*, stream::run};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_scan_and_then_keys_one_by_one_give_the_same_verdicts(events in log(120)) {
        let lane = lane(false);
        let mut watermark = Watermark::new(&lane.source, EventTime::MIN);
        let mut verdicts = vec![Verdict::Applied; events.len()];
        let mut by_key: BTreeMap<&str, Vec<(usize, EventTime)>> = BTreeMap::new();
        for (row, event) in events.iter().enumerate() {
            if let Some(reason) = event.broken {
                verdicts[row] = Verdict::DeadLettered(reason);
                continue;
            }
            match watermark.judge(EventTime(event.sent), AppendTime(event.append_ms)) {
                Ok(at) => by_key.entry(&event.visitor).or_default().push((row, at)),
                Err(verdict) => verdicts[row] = verdict,
            }
        }
        for rows in by_key.into_values().rev() {
            let mut identities = Identities::default();
            for (row, at) in rows {
                let event = &events[row];
                verdicts[row] =
                    identities.judge(Identity::of(&event.id), EventTime(event.sent), at, LATENESS);
            }
        }
        prop_assert_eq!(verdicts, run(&lane, &events, &[], false).2);
    }
}

fn event(id: usize, sent: i64) -> Event {
    Event {
        id: format!("event {id}"),
        visitor: "v".into(),
        item: format!("item {}", id % 7),
        kind: "view",
        category: Some("c".into()),
        amount: Some(1),
        sent,
        append_ms: BASE / 1000 + 1_000_000,
        broken: None,
    }
}

#[test]
fn a_flood_is_counted_and_does_not_touch_the_state() {
    for by_item in [false, true] {
        let lane = lane(by_item);
        let mut events: Vec<Event> = (0..IDENTITIES_MAX).map(|i| event(i, BASE)).collect();
        let at_cap = run(&lane, &events, &[], false);
        assert!(at_cap.2.iter().all(|verdict| *verdict == Verdict::Applied));
        events.push(event(IDENTITIES_MAX, BASE));
        let over = run(&lane, &events, &[], false);
        assert_eq!(over.2.last(), Some(&Verdict::DeadLettered(Reason::KeyFlood)));
        assert_eq!(over.0, at_cap.0, "no state changed");
        assert_eq!(over.1.head().ledger.dead_lettered, 1);
        // One identity grows older than the lateness, one more finds room.
        events[0].sent -= 1;
        events.push(event(IDENTITIES_MAX + 1, BASE + LATENESS));
        let room = run(&lane, &events, &[], false);
        assert_eq!(room.2.last(), Some(&Verdict::Applied));
    }
}

#[test]
fn the_edges_of_future_and_late_are_where_they_are_said_to_be() {
    let lane = lane(false);
    let append = BASE / 1000 + 1_000_000;
    let edge = append * 1000;
    let events = vec![
        event(0, edge + MAX_FUTURE),
        event(1, edge + MAX_FUTURE + 1),
        event(2, edge - LATENESS),
        event(3, edge - LATENESS - 1),
    ];
    let verdicts = run(&lane, &events, &[], false).2;
    let future = Verdict::DeadLettered(Reason::Future);
    assert_eq!(verdicts, [Verdict::Applied, future, Verdict::Applied, Verdict::Late]);
}
