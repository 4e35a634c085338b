//! Names and bytes of what is stored. One hash per (lane, partition), see [`super`].

use ::redis::Value;
use record::{LaneId, Offset, Partition};

use crate::{Error, StoredHead};

/// Version of the layout, in the key's name.
const VERSION: u8 = 1;
/// Field of the head; the scripts know it too.
const HEAD: &[u8] = b"";
/// First byte of a derived value's field.
const DERIVED: u8 = 0xfe;
/// First bytes of the field of a state whose own key would be taken for something else.
const ESCAPED: [u8; 2] = [0xff, b's'];
const POSITION_BYTES: usize = 8;

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    State,
    Derived,
}

/// Name of the hash of a (lane, partition); all of the name that distinguishes it is its hash tag.
pub(super) fn key(prefix: &str, lane: LaneId, partition: Partition) -> String {
    format!("{prefix}:{VERSION}:{{{lane}:{partition}}}")
}

/// Pattern that all names match.
pub(super) fn pattern(prefix: &str) -> String {
    format!("{prefix}:{VERSION}:{{*}}")
}

/// Lane and partition of a name; `None`: it is none of ours.
pub(super) fn place(prefix: &str, name: &[u8]) -> Option<(LaneId, Partition)> {
    let text = std::str::from_utf8(name).ok()?;
    let (lane, partition) = text.rsplit_once('{')?.1.strip_suffix('}')?.split_once(':')?;
    let mut bytes = [0; 8];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(lane.get(at..at + 2)?, 16).ok()?;
    }
    let place = (LaneId(bytes), Partition(partition.parse().ok()?));
    (key(prefix, place.0, place.1) == text).then_some(place)
}

/// Whether a key is its own field.
pub(super) fn is_bare(kind: Kind, key: &[u8]) -> bool {
    kind == Kind::State && key.first().is_some_and(|first| *first < DERIVED)
}

/// Field of a key: the key itself wherever that is unmistakable.
pub(super) fn field(kind: Kind, key: &[u8]) -> Vec<u8> {
    let escape: &[u8] = match kind {
        _ if is_bare(kind, key) => &[],
        Kind::Derived => &[DERIVED],
        Kind::State => &ESCAPED,
    };
    let mut field = Vec::with_capacity(escape.len() + key.len());
    field.extend_from_slice(escape);
    field.extend_from_slice(key);
    field
}

/// Field of the head.
pub(super) fn head_field() -> &'static [u8] {
    HEAD
}

/// A position as the scripts compare it; nothing stored is no bytes.
pub(super) fn position(next: Option<Offset>) -> Vec<u8> {
    next.map_or_else(Vec::new, |next| next.0.to_be_bytes().to_vec())
}

/// A head: the position, big-endian, then the fold's bytes.
pub(super) fn encode(head: &StoredHead) -> Vec<u8> {
    let mut value = Vec::with_capacity(POSITION_BYTES + head.bytes.len());
    value.extend_from_slice(&head.next.0.to_be_bytes());
    value.extend_from_slice(&head.bytes);
    value
}

/// Reads what [`encode`] made, as Redis returned it.
pub(super) fn decode(key: &str, value: Value) -> Result<Option<StoredHead>, Error> {
    let Some(value) = bytes(key, value)? else { return Ok(None) };
    let Some((next, bytes)) = value.split_first_chunk() else {
        return Err(damaged(key, "a head is too short"));
    };
    let next = Offset(u64::from_be_bytes(*next));
    Ok(Some(StoredHead { next, bytes: bytes.to_vec() }))
}

/// Reads a position that a script returned.
pub(super) fn decode_position(key: &str, value: &[u8]) -> Result<Option<Offset>, Error> {
    match value {
        [] => Ok(None),
        value => {
            let next = value.try_into().map_err(|_| damaged(key, "a head is too short"))?;
            Ok(Some(Offset(u64::from_be_bytes(next))))
        }
    }
}

/// A value, or that there is none.
pub(super) fn bytes(key: &str, value: Value) -> Result<Option<Vec<u8>>, Error> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(damaged(key, "an answer of another type than bytes")),
    }
}

pub(super) fn damaged(key: &str, what: &str) -> Error {
    Error::Damaged { key: key.to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tell_lane_and_partition() {
        let place_of = (LaneId([0, 1, 2, 253, 254, 255, 16, 7]), Partition(12));
        let name = key("twofold", place_of.0, place_of.1);
        assert_eq!(name, "twofold:1:{000102fdfeff1007:12}");
        assert_eq!(place("twofold", name.as_bytes()), Some(place_of));
        for other in [
            "twofold:1:{000102fdfeff10:12}",
            "twofold:1:{000102fdfeff1007:012}",
            "twofold:1:{000102fdfeff1007:12}x",
            "twofold:2:{000102fdfeff1007:12}",
            "shop:1:{000102fdfeff1007:12}",
            "{€€€:1}",
        ] {
            assert_eq!(place("twofold", other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn fields_are_never_mistaken_for_each_other() {
        let keys: Vec<Vec<u8>> = [
            &b""[..],
            b"a",
            b"o",
            b"s",
            b"v",
            b"\xfe",
            b"\xff",
            b"\xffs",
            b"\xffo",
            b"\xfea",
            b"\0",
        ]
        .map(Vec::from)
        .to_vec();
        let mut seen = BTreeSet::from([HEAD.to_vec(), b"\xffo".to_vec(), b"\xffv".to_vec()]);
        for kind in [Kind::State, Kind::Derived] {
            for key in &keys {
                let field = field(kind, key);
                assert_eq!(is_bare(kind, key), field == *key, "{kind:?} {key:02x?}");
                assert!(seen.insert(field), "{kind:?} {key:02x?}");
            }
        }
        assert_eq!(field(Kind::State, b"\0visitor"), b"\0visitor", "an ordinary key is bare");
    }

    #[test]
    fn heads_round_trip_and_short_ones_are_refused() {
        let head = StoredHead { next: Offset(7), bytes: b"fold".to_vec() };
        let value = Value::BulkString(encode(&head));
        assert_eq!(decode("k", value).unwrap(), Some(head));
        assert_eq!(decode("k", Value::Nil).unwrap(), None);
        for wrong in [Value::BulkString(vec![0; 7]), Value::Int(1)] {
            assert!(matches!(decode("k", wrong), Err(Error::Damaged { .. })));
        }
        assert_eq!(decode_position("k", &position(Some(Offset(9)))).unwrap(), Some(Offset(9)));
        assert_eq!(decode_position("k", &position(None)).unwrap(), None);
        assert!(matches!(decode_position("k", b"abc"), Err(Error::Damaged { .. })));
    }
}
