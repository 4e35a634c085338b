use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn sessions() -> impl Strategy<Value = Vec<Session>> {
    let items = prop::collection::vec("[a-f]", 0..8);
    let session = (items, 0i64..50).prop_map(|(items, end)| Session {
        items: items.iter().map(|item| item.as_str().into()).collect(),
        end_us: end * 3_600_000_000,
    });
    prop::collection::vec(session, 0..12)
}

fn build(sessions: Vec<Session>) -> Indexes {
    let positions = BTreeMap::from([(("clickstream".to_owned(), 3), 17)]);
    Indexes::build(40 * 3_600_000_000, positions, sessions)
}

/// Co-visitation as its definition reads, by the longest way.
fn naive_rules(sessions: &[Session], from: &str) -> BTreeMap<String, f64> {
    let mut rules = BTreeMap::new();
    for session in sessions {
        for (i, a) in session.items.iter().enumerate() {
            for (j, b) in session.items.iter().enumerate() {
                if i != j && &**a == from {
                    *rules.entry(b.to_string()).or_insert(0.0) += 1.0;
                }
            }
        }
    }
    rules
}

proptest! {
    #[test]
    fn bytes_round_trip(sessions in sessions()) {
        let indexes = build(sessions);
        let bytes = indexes.encode();
        prop_assert_eq!(Indexes::decode(&bytes).unwrap(), indexes);
    }

    #[test]
    fn the_order_of_sessions_does_not_matter(
        (sessions, shuffled) in sessions()
            .prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle()))
    ) {
        prop_assert_eq!(build(sessions).encode(), build(shuffled).encode());
    }

    #[test]
    fn sessions_after_the_cut_do_not_count(sessions in sessions()) {
        let (before, _): (Vec<_>, Vec<_>) =
            sessions.iter().cloned().partition(|s| s.end_us < 40 * 3_600_000_000);
        prop_assert_eq!(build(sessions).digest, build(before).digest);
    }

    #[test]
    fn damaged_bytes_are_refused(sessions in sessions(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = build(sessions).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Indexes::decode(&bytes).is_err());
        prop_assert!(Indexes::decode(&bytes[..at]).is_err());
    }

    /// The checksum cannot vouch for bytes that a faulty writer wrote: those must not panic either.
    #[test]
    fn wrong_bytes_with_a_right_checksum_do_not_panic(
        sessions in sessions(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = build(sessions).encode();
        let body = bytes.len() - 32;
        bytes[12 + at.index(body - 12)] = byte;
        let digest = *blake3::hash(&bytes[..body]).as_bytes();
        bytes[body..].copy_from_slice(&digest);
        if let Ok(indexes) = Indexes::decode(&bytes) {
            for item in 0..indexes.catalogue.len() as u32 {
                let _ = indexes.covisit.of(item);
                for session in indexes.sessions.with_item(item) {
                    let _ = indexes.sessions.items(*session);
                }
            }
        }
    }

    #[test]
    fn rules_equal_their_definition(sessions in sessions()) {
        // All sessions end together, so that every weight is the same.
        let sessions: Vec<Session> =
            sessions.into_iter().map(|s| Session { end_us: 0, ..s }).collect();
        let indexes = Indexes::build(1, BTreeMap::new(), sessions.clone());
        for (ordinal, id) in (0..).zip(&indexes.catalogue.ids) {
            let found: BTreeMap<String, f64> = indexes
                .covisit
                .of(ordinal)
                .iter()
                .map(|rule| (indexes.catalogue.id(rule.item).to_string(), rule.score / 65_536.0))
                .collect();
            prop_assert_eq!(found, naive_rules(&sessions, id));
        }
    }
}

#[test]
fn older_sessions_count_less() {
    let day = 86_400_000_000;
    let session =
        |items: [&str; 2], end_us| Session { items: items.map(Into::into).into(), end_us };
    let sessions = [session(["a", "b"], 0), session(["a", "c"], 28 * day)];
    let indexes = Indexes::build(28 * day + 1, BTreeMap::new(), sessions);
    let item = |id: &str| indexes.catalogue.ordinal(id).unwrap();
    let of = indexes.covisit.of(item("a"));
    assert_eq!((of[0].item, of[1].item), (item("c"), item("b")));
    assert!((of[0].score / of[1].score - 4.0).abs() < 1e-3, "two half-lives: {of:?}");
    assert_eq!(indexes.trending[0].item, item("a"));
}

#[test]
fn another_version_is_named() {
    let mut bytes = build(Vec::new()).encode();
    bytes[8] = 9;
    let error = Indexes::decode(&bytes).unwrap_err();
    assert_eq!(error, crate::Error::Version { found: 9, expected: 1 });
}
