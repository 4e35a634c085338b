//! How heads, states and derived values lie in the keyspace: kind ‖ lane ‖ partition, big-endian,
//! then the key. A head has no key; its value is version ‖ flags ‖ owner token ‖ position ‖ the
//! fold's bytes.

use record::{LaneId, Offset, Partition};

use crate::{Error, OwnerToken, StoredHead};

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 13;
/// Kind and lane.
pub(super) const LANE_PREFIX_BYTES: usize = 9;
const HEAD_BYTES_MIN: usize = 26;

const OWNED: u8 = 1;
const COMMITTED: u8 = 2;
const REMOVING: u8 = 4;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head = b'h' as isize,
    State = b's' as isize,
    Derived = b'd' as isize,
}

/// What is stored of one (lane, partition) besides its states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeadEntry {
    pub(super) owner: Option<OwnerToken>,
    pub(super) head: Option<StoredHead>,
    /// Its states are being removed: nobody may read or commit.
    pub(super) removing: bool,
}

pub(super) fn prefix(kind: Kind, lane: LaneId, partition: Partition) -> [u8; PREFIX_BYTES] {
    let mut prefix = [kind as u8; PREFIX_BYTES];
    prefix[1..9].copy_from_slice(&lane.0);
    prefix[9..].copy_from_slice(&partition.0.to_be_bytes());
    prefix
}

pub(super) fn key(prefix: &[u8; PREFIX_BYTES], key: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(PREFIX_BYTES + key.len());
    whole.extend(prefix);
    whole.extend(key);
    whole
}

/// The key within its (lane, partition).
pub(super) fn own_key(whole: &[u8]) -> &[u8] {
    &whole[PREFIX_BYTES..]
}

/// Lane and partition of a head's key.
pub(super) fn place(head_key: &[u8]) -> Result<(LaneId, Partition), Error> {
    let place = |rest: &[u8]| {
        let (lane, partition) = rest.split_first_chunk::<8>()?;
        Some((LaneId(*lane), Partition(u32::from_be_bytes(partition.try_into().ok()?))))
    };
    head_key
        .get(1..)
        .and_then(place)
        .ok_or_else(|| damaged(head_key, "the key of a head has a wrong length"))
}

pub(super) fn encode(entry: &HeadEntry) -> Vec<u8> {
    let mut flags = 0;
    flags |= if entry.owner.is_some() { OWNED } else { 0 };
    flags |= if entry.head.is_some() { COMMITTED } else { 0 };
    flags |= if entry.removing { REMOVING } else { 0 };
    let mut value = vec![VERSION, flags];
    value.extend(entry.owner.map_or([0; 16], |owner| owner.0));
    value.extend(entry.head.as_ref().map_or(0, |head| head.next.0).to_be_bytes());
    if let Some(head) = &entry.head {
        value.extend(&head.bytes);
    }
    value
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<HeadEntry, Error> {
    if value.len() < HEAD_BYTES_MIN {
        return Err(damaged(key, "a head is too short"));
    }
    if value[0] != VERSION {
        return Err(damaged(key, "a head was written by another version"));
    }
    let flags = value[1];
    let owner = OwnerToken(value[2..18].try_into().expect("a range of 16 bytes"));
    let next = Offset(u64::from_be_bytes(value[18..26].try_into().expect("a range of 8 bytes")));
    let head = StoredHead { next, bytes: value[HEAD_BYTES_MIN..].to_owned() };
    Ok(HeadEntry {
        owner: (flags & OWNED != 0).then_some(owner),
        head: (flags & COMMITTED != 0).then_some(head),
        removing: flags & REMOVING != 0,
    })
}

fn damaged(key: &[u8], what: &str) -> Error {
    Error::Damaged { key: format!("{key:02x?}"), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_entries_round_trip() {
        let owner = Some(OwnerToken([7; 16]));
        let head = Some(StoredHead { next: Offset(9), bytes: b"fold".to_vec() });
        for entry in [
            HeadEntry::default(),
            HeadEntry { owner, ..HeadEntry::default() },
            HeadEntry { owner, head: head.clone(), removing: false },
            HeadEntry { owner: None, head, removing: true },
        ] {
            assert_eq!(decode(b"k", &encode(&entry)).unwrap(), entry);
        }
    }

    #[test]
    fn damaged_heads_are_refused() {
        let good = encode(&HeadEntry::default());
        assert!(matches!(decode(b"k", &good[..25]), Err(Error::Damaged { .. })));
        let mut other_version = good;
        other_version[0] = 2;
        assert!(matches!(decode(b"k", &other_version), Err(Error::Damaged { .. })));
    }
}
