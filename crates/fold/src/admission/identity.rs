use xxhash_rust::xxh3::xxh3_64;

/// A record's event id as 64 bits: its XXH3 hash. A state holds one for each recent record of a key, in each
/// lane, so that its bytes count.
///
/// Two ids are mistaken for one only where they are of one stream key and one event time, to the microsecond;
/// of such pairs one in 2^64 meets by chance. Who makes them meet on purpose turns an event of her own visitor
/// into a duplicate, which not sending it does as well; hence a cryptographic hash, which costs ten times as
/// much, would guard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(u64);

impl Identity {
    /// Bytes of [`Identity::to_bytes`].
    pub(crate) const BYTES: usize = 8;

    /// The identity that `event_id` gives a record, beside its event time as sent.
    #[must_use]
    pub fn of(event_id: &str) -> Self {
        Self(xxh3_64(event_id.as_bytes()))
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States hold identities: another hash would be another fold.
    #[test]
    fn the_hash_is_pinned() {
        let identity = Identity::of("0b8fd42b-8a3c-4c61-9d4b-27ff2d7b7a10");
        assert_eq!(Identity::from_bytes(identity.to_bytes()), identity);
        // As the reference implementation gives it.
        assert_eq!(identity.to_bytes(), 0x2bf2_489b_6d76_432e_u64.to_le_bytes());
        assert_eq!(Identity::of("").to_bytes(), 0x2d06_8005_38d3_94c2_u64.to_le_bytes());
        assert_ne!(Identity::of("a"), Identity::of("a\0"));
    }
}
