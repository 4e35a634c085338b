use xxhash_rust::xxh3::xxh3_128;

/// A record's event id in 16 bytes: an id of at most 15 bytes as it is, with its length in the last
/// byte; a longer one as its XXH3-128 hash (little-endian) with the top bit of the last byte set, so
/// that the two kinds never meet.
///
/// Two ids of one stream key and one event time meet by chance once in 2^127. Who makes them meet on
/// purpose turns an event of her own visitor into a duplicate, which not sending it does as well; hence a
/// cryptographic hash, which costs ten times as much, would guard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 16]);

const INLINE_BYTES_MAX: usize = 15;

impl Identity {
    /// The identity that `event_id` gives a record, beside its event time as sent.
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        let id = event_id.as_bytes();
        let mut bytes = [0; 16];
        if id.len() <= INLINE_BYTES_MAX {
            bytes[..id.len()].copy_from_slice(id);
            bytes[15] = id.len() as u8;
        } else {
            bytes = xxh3_128(id).to_le_bytes();
            bytes[15] |= 0x80;
        }
        Self(bytes)
    }

    /// The kind byte (a length, or a hash's last byte) and the bytes that are not padding.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        let kind = self.0[15];
        let length = if kind >= 0x80 { INLINE_BYTES_MAX } else { usize::from(kind) };
        (kind, &self.0[..length])
    }

    /// How many bytes follow a kind byte; `None` if no identity has that kind.
    pub(crate) fn bytes_after(kind: u8) -> Option<usize> {
        match kind {
            0x80.. => Some(INLINE_BYTES_MAX),
            0..=15 => Some(usize::from(kind)),
            _ => None,
        }
    }

    /// Puts [`Identity::parts`] together again.
    pub(crate) fn from_parts(kind: u8, rest: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes[15] = kind;
        Self(bytes)
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
        let mut bytes = hash.to_le_bytes();
        bytes[15] |= 0x80;
        assert_eq!(Identity::of("0b8fd42b-8a3c-4c61-9d4b-27ff2d7b7a10"), Identity(bytes));
    }
}
