use std::num::NonZeroU8;

use xxhash_rust::xxh3::xxh3_128;

/// A record's event id in 16 bytes: an id of at most 15 bytes as it is, with its length in the last
/// byte; a longer one as its XXH3-128 hash (little-endian) with the top bit of the last byte set, so
/// that the two kinds never meet.
///
/// Two ids of one stream key and one event time meet by chance once in 2^127. Who makes them meet on
/// purpose turns an event of her own visitor into a duplicate, which not sending it does as well; hence a
/// cryptographic hash, which costs ten times as much, would guard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    bytes: [u8; INLINE_BYTES_MAX],
    /// The last byte; a length is one more here, so that an absent identity takes no room of its own.
    kind: NonZeroU8,
}

/// Bytes of an id that is kept as it is.
const INLINE_BYTES_MAX: usize = 15;
/// What a hash's last byte has set.
const HASHED: u8 = 0x80;

impl Identity {
    /// The identity that `event_id` gives a record, beside its event time as sent.
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        let id = event_id.as_bytes();
        if id.len() > INLINE_BYTES_MAX {
            let hash = xxh3_128(id).to_le_bytes();
            return Self::new(hash[15] | HASHED, hash[..INLINE_BYTES_MAX].try_into().expect("15"));
        }
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..id.len()].copy_from_slice(id);
        Self::new(id.len() as u8, bytes)
    }

    fn new(kind: u8, bytes: [u8; INLINE_BYTES_MAX]) -> Self {
        let kind = if kind < HASHED { kind + 1 } else { kind };
        Self { bytes, kind: NonZeroU8::new(kind).expect("a length is one more") }
    }

    /// The kind byte (a length, or a hash's last byte) and the bytes that are not padding.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        let kind = self.kind.get();
        if kind >= HASHED {
            return (kind, &self.bytes);
        }
        (kind - 1, &self.bytes[..usize::from(kind - 1)])
    }

    /// How many bytes follow a kind byte; `None` if no identity has that kind.
    pub(crate) fn bytes_after(kind: u8) -> Option<usize> {
        match kind {
            HASHED.. => Some(INLINE_BYTES_MAX),
            0..=15 => Some(usize::from(kind)),
            _ => None,
        }
    }

    /// Puts [`Identity::parts`] together again.
    pub(crate) fn from_parts(kind: u8, rest: &[u8]) -> Self {
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..rest.len()].copy_from_slice(rest);
        Self::new(kind, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_kept_and_long_ones_are_hashes() {
        for id in [
            "",
            "a",
            "fifteen bytes..",
            "sixteen bytes...",
            "a\0",
            "0123456789abcdef0123456789abcdef:7",
        ] {
            let identity = Identity::of(id);
            let (kind, rest) = identity.parts();
            assert_eq!(Identity::bytes_after(kind), Some(rest.len()));
            assert_eq!(Identity::from_parts(kind, rest), identity);
            assert_eq!(kind >= 0x80, id.len() > 15);
        }
        assert_ne!(Identity::of("a"), Identity::of("a\0"));
    }

    /// States hold identities: another hash would be another fold.
    #[test]
    fn the_hash_of_a_long_id_is_pinned() {
        // As the reference implementation gives it.
        let hash: u128 = 0x4df3d9aac2ce1043768edb0d20df46c7;
        let bytes = hash.to_le_bytes();
        let identity = Identity::of("0b8fd42b-8a3c-4c61-9d4b-27ff2d7b7a10");
        assert_eq!(identity.parts(), (bytes[15] | 0x80, &bytes[..15]));
        assert_eq!(size_of::<Option<Identity>>(), 16);
    }
}
