//! Bytes: what decodes was encoded, damage is an error and never a panic.

use std::sync::Arc;

use definitions::{Lane, Operation};
use fold::{
    EntityState, Error, Head, LanePartition, StateKey, Value, decode_values, encode_values,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use record::Partition;

use super::{
    fixture::*,
    reference::{self, Broken},
    stream::{Vectors, difference, run},
};

/// Loads bytes under a key into a fresh partition and gives back what it would write.
fn reload(lane: &Arc<Lane>, key: &StateKey, bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut partition = LanePartition::new(Arc::clone(lane), Partition(3), Head::start(LOG));
    partition.load(key.clone(), Some(bytes))?;
    Ok(partition.state(key))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damage_is_an_error_or_another_state_but_never_a_panic(
        events in log(60),
        by_item: bool,
        flips in vec((any::<Index>(), any::<u8>()), 1..4),
        torn in any::<Index>(),
    ) {
        let lane = lane(by_item);
        for (key, bytes) in run(&lane, &events, &[], false).0 {
            prop_assert_eq!(reload(&lane, &key, &bytes), Ok(Some(bytes.clone())));
            let mut damaged = bytes.clone();
            for (index, byte) in &flips {
                let at = index.index(damaged.len());
                damaged[at] = *byte;
            }
            // What is accepted is canonical: it is written again as it was read.
            if let Ok(again) = reload(&lane, &key, &damaged) {
                prop_assert_eq!(again, Some(damaged.clone()));
            }
            prop_assert!(reload(&lane, &key, &bytes[..torn.index(bytes.len())]).is_err());
            if key.entity_key(&lane).is_some() {
                if let Ok(state) = EntityState::decode(&lane, &damaged) {
                    let _ = state.values(&lane, state.greatest(), Some(&Vectors::new()));
                    let mut twice = state.clone();
                    twice.merge(&state);
                }
                prop_assert!(EntityState::decode(&lane, &bytes[..torn.index(bytes.len())]).is_err());
            }
        }
    }

    #[test]
    fn random_bytes_are_refused_without_panic(bytes in vec(any::<u8>(), 0..300), version: bool) {
        let lane = lane(false);
        let mut bytes = bytes;
        if version && !bytes.is_empty() {
            bytes[0] = fold::VERSION as u8;
        }
        let _ = EntityState::decode(&lane, &bytes);
        let _ = Head::decode(&bytes);
        let _ = decode_values(&bytes);
        let _ = reload(&lane, &StateKey::stream("v"), &bytes);
        let _ = reload(&lane, &StateKey::from_bytes(&bytes), &bytes);
    }

    #[test]
    fn values_round_trip(events in log(60)) {
        let lane = lane(false);
        for (key, bytes) in run(&lane, &events, &[], false).0 {
            let state = EntityState::decode(&lane, &bytes).expect("a state");
            prop_assert_eq!(key.entity_key(&lane).map(|text| text.starts_with("visitor")), Some(true));
            let values = state.values(&lane, state.greatest(), Some(&Vectors::new()));
            let encoded = encode_values(&values);
            prop_assert_eq!(decode_values(&encoded), Ok(values));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// More tags than the table of tags takes, items that come again, and times in each of the units.
    #[test]
    fn sequences_round_trip_and_coarse_times_take_fewer_bytes(
        seen in vec((0..20u8, 0..30u32, 0..1_000i64), 1..40),
        tagged: bool,
        torn in any::<Index>(),
    ) {
        let tag = tagged.then_some(CATEGORY);
        let lane = lane_of(false, &[(0, Operation::Sequence { value: ITEM, tag, limit: 30 }, None, None)]);
        let mut lengths = Vec::new();
        for unit_us in [1, 1_000, SECOND] {
            let mut sent = BASE;
            let events: Vec<Event> = seen.iter().enumerate().map(|(i, (tag, item, step))| {
                sent += step * unit_us;
                Event {
                    id: format!("{i}"),
                    visitor: "visitor".into(),
                    item: if item % 7 == 0 { format!("no number, {item}.") } else { format!("item {item:03}") },
                    kind: "view",
                    category: Some(format!("tag {tag}.")),
                    amount: None,
                    sent,
                    append_ms: sent.div_euclid(1000) + 1,
                    broken: None,
                }
            }).collect();
            let (store, _, _) = run(&lane, &events, &[], false);
            let (key, bytes) = store.iter().next().expect("a visitor");
            prop_assert_eq!(reload(&lane, key, bytes), Ok(Some(bytes.clone())));
            prop_assert!(reload(&lane, key, &bytes[..torn.index(bytes.len())]).is_err());
            let (_, admitted, _) = reference::admit(&events, Broken::default());
            prop_assert_eq!(difference(&lane, &store, &admitted, &[0], Broken::default()), None);
            lengths.push(EntityState::decode(&lane, bytes).expect("a state").encode().len());
        }
        // The header's time is as long for all.
        prop_assert!(lengths[2] <= lengths[0] && lengths[1] <= lengths[0], "{:?}", lengths);
    }
}

#[test]
fn values_that_differ_have_other_bytes() {
    let values = [
        Value::Null,
        Value::Int(0),
        Value::Int(-1),
        Value::Float(0.0),
        Value::Bool(false),
        Value::Bool(true),
        Value::Text("".into()),
        Value::Map { entries: vec![], complete: true },
        Value::Map { entries: vec![], complete: false },
        Value::Sequence(vec![]),
        Value::Vector(vec![]),
        Value::Vector(vec![0.0]),
    ];
    for (i, a) in values.iter().enumerate() {
        for b in &values[i + 1..] {
            assert_ne!(
                encode_values(std::slice::from_ref(a)),
                encode_values(std::slice::from_ref(b))
            );
        }
    }
}

#[test]
fn another_version_is_named() {
    let lane = lane(false);
    let error = EntityState::decode(&lane, &[9, 0]).expect_err("no such version");
    assert_eq!(error, Error::Version { found: 9, expected: fold::VERSION });
    assert!(matches!(EntityState::decode(&lane, &[]), Err(Error::Damaged { .. })));
}
