//! Caps at cap − 1, cap, cap + 1; sums at ± 2^53 and beyond 64 bits; times at the ends of the type.

use std::sync::Arc;

use definitions::{Lane, Operation, Window};
use fold::{EntityState, StateKey, Value};
use record::EventTime;

use super::{
    fixture::*,
    reference::{self, Broken},
    stream::{difference, run},
};

fn event(id: usize, sent: i64) -> Event {
    Event {
        id: format!("{id}"),
        visitor: "v".into(),
        item: format!("item {id}"),
        kind: "view",
        category: None,
        amount: None,
        sent,
        append_ms: sent.div_euclid(1000) + 1,
        broken: None,
    }
}

fn read(lane: &Arc<Lane>, events: &[Event]) -> Vec<Value> {
    let (store, _, _) = run(lane, events, &[], false);
    let (_, admitted, _) = reference::admit(events, Broken::default());
    assert_eq!(difference(lane, &store, &admitted, &[0, SECOND], Broken::default()), None);
    let stored = &store[&StateKey::entity(lane, "v")];
    let state = EntityState::decode(lane, stored).expect("a state");
    // The identities stand behind the features.
    let again = state.encode();
    assert_eq!(again[..], stored[..again.len()], "what was stored is written again as it was read");
    assert!(stored.len() > again.len(), "the key's identities");
    assert_eq!(EntityState::greatest_of(stored), Ok(state.greatest()));
    assert!(stored.len() as u64 <= lane.state_bytes_max());
    state.values(lane, state.greatest(), None)
}

#[test]
fn a_map_is_exact_up_to_its_limit_and_says_so_beyond_it() {
    const LIMIT: usize = 8;
    let operation =
        Operation::CountBy { by: CATEGORY, limit: LIMIT as u32, window: Window::Lifetime };
    let lane = lane_of(false, &[(0, operation, None, None)]);
    for keys in [LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT] {
        let of_key =
            |i: usize| Event { category: Some(format!("key {}", i % keys)), ..event(i, BASE) };
        let events: Vec<Event> = (0..2 * keys).map(of_key).collect();
        let Value::Map { entries, complete } = &read(&lane, &events)[0] else { panic!("a map") };
        assert_eq!(*complete, keys <= LIMIT);
        assert_eq!(entries.len(), if keys <= LIMIT { keys } else { 0 });
        assert!(entries.iter().all(|(_, count)| *count == 2));
    }
}

#[test]
fn a_sequence_keeps_its_limit() {
    let operation = Operation::Sequence { value: ITEM, tag: None, limit: 5 };
    let lane = lane_of(false, &[(0, operation, None, None)]);
    for length in [4, 5, 6] {
        // Newest first: the late ones push nothing newer out.
        let events: Vec<Event> = (0..length).map(|i| event(i, BASE - i as i64)).collect();
        let Value::Sequence(seen) = &read(&lane, &events)[0] else { panic!("a sequence") };
        assert_eq!(seen.len(), length.min(5));
        assert_eq!(&*seen[seen.len() - 1].item, "item 0");
    }
}

#[test]
fn sums_are_exact_beyond_64_bits() {
    let window = Window::Lifetime;
    let lane = lane_of(
        false,
        &[
            (0, Operation::Sum { value: AMOUNT, scale: 0, window }, None, None),
            (
                0,
                Operation::DecayedSum { value: Some(AMOUNT), scale: 0, half_life_us: SECOND },
                None,
                None,
            ),
        ],
    );
    let of = |i: usize, amount: i64| Event { amount: Some(amount), ..event(i, BASE + i as i64) };
    // 3000 · 2^53 is beyond i64; taking all but one unit away again leaves it exactly.
    let mut events: Vec<Event> = (0..3000).map(|i| of(i, 1 << 53)).collect();
    assert_eq!(read(&lane, &events)[0], Value::Float(3000.0 * 9_007_199_254_740_992.0));
    events.extend((3000..6000).map(|i| of(i, -(1 << 53))));
    events.push(of(6000, 1));
    // More than the key may send within the lateness: spread the keys' times.
    for (i, event) in events.iter_mut().enumerate() {
        event.sent = BASE + i as i64 * SECOND;
        event.append_ms = event.sent / 1000;
    }
    assert_eq!(read(&lane, &events)[0], Value::Float(1.0));
}

#[test]
fn times_at_the_ends_of_the_type_do_not_wrap() {
    let lane = lane(false);
    let far = [i64::MIN + 1, i64::MIN + LATENESS, -1, 0, 1, i64::MAX / 1000 * 1000 - 1];
    for sent in far {
        let first =
            Event { amount: Some(3), category: Some("category 1".into()), ..event(0, sent) };
        let mut second = first.clone();
        second.id = "1".into();
        read_far(&lane, &[first.clone(), second]);
    }
    // From one end to the other in one key.
    let events: Vec<Event> = far.iter().enumerate().map(|(i, sent)| event(i, *sent)).collect();
    read_far(&lane, &events);
}

/// As [`read`], but reads lie at the greatest time only: past the end of time there is none.
fn read_far(lane: &Arc<Lane>, events: &[Event]) {
    let (store, _, verdicts) = run(lane, events, &[], false);
    let (expected, admitted, _) = reference::admit(events, Broken::default());
    assert_eq!(verdicts, expected);
    assert_eq!(difference(lane, &store, &admitted, &[0, i64::MAX], Broken::default()), None);
}

#[test]
fn a_reader_past_the_ttl_gets_the_defaults_and_no_error() {
    let lane = lane(false);
    let events = [Event { amount: Some(3), ..event(0, BASE) }];
    let (store, _, _) = run(&lane, &events, &[], false);
    let state = EntityState::decode(&lane, &store[&StateKey::entity(&lane, "v")]).expect("a state");
    let late = state.values(&lane, EventTime(BASE + TTL[0] + 1), None);
    assert_eq!(late, EntityState::empty(&lane).values(&lane, EventTime(BASE), None));
    assert_eq!(late, fold::Plan::new(&lane).defaults());
    let alive = state.values(&lane, EventTime(BASE + TTL[0]), None);
    assert_eq!(alive[0], Value::Int(1), "the first group is alive to the microsecond");
    assert_eq!(alive[5], Value::Float(7.5), "the second is past its own TTL");
}

/// Everything full: what a lane says of its largest state holds, and is not far off.
#[test]
fn a_full_state_stays_within_what_its_lane_says() {
    const LIMIT: usize = 24;
    const HOP: i64 = 10;
    let window = sliding(60, HOP);
    let lane = lane_of(
        false,
        &[
            (0, Operation::CountBy { by: CATEGORY, limit: LIMIT as u32, window }, None, None),
            (0, Operation::Sequence { value: CATEGORY, tag: None, limit: 1000 }, None, None),
            (0, Operation::Sum { value: AMOUNT, scale: 0, window }, None, None),
            (0, Operation::DecayedSum { value: None, scale: 0, half_life_us: SECOND }, None, None),
        ],
    );
    // No number at its end, other keys in each tile, and none that stood a few entries before: all of it is
    // written.
    let long = |key: i64| format!("{key:0digits$}.", digits = definitions::lane::BY_BYTES_MAX - 1);
    let full = |i: usize| {
        let sent = BASE + i as i64 * 14_000;
        let tile = (sent - 1).div_euclid(HOP * SECOND);
        Event {
            id: format!("an id that is kept as its digest, {i}"),
            category: Some(long(tile * LIMIT as i64 + (i % LIMIT) as i64)),
            amount: Some(1 << 53),
            ..event(i, sent)
        }
    };
    let events: Vec<Event> = (0..fold::IDENTITIES_MAX).map(full).collect();
    let (store, _, verdicts) = run(&lane, &events, &[], false);
    assert!(verdicts.iter().all(|verdict| *verdict == fold::Verdict::Applied));
    let bytes = store[&StateKey::entity(&lane, "v")].len() as u64;
    let bytes_max = lane.state_bytes_max();
    assert!(bytes <= bytes_max && bytes > bytes_max / 3, "{bytes} of {bytes_max}");
}
