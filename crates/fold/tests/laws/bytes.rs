//! Bytes: what decodes was encoded, damage is an error and never a panic.

use std::sync::Arc;

use definitions::Lane;
use fold::{
    EntityState, Error, Head, LanePartition, StateKey, Value, decode_values, encode_values,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use record::Partition;

use super::{
    fixture::*,
    stream::{Vectors, run},
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
            bytes[0] = 1;
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
