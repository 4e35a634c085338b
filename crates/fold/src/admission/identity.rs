/// A record's event id in 16 bytes: an id of at most 15 bytes as it is, with its length in the last
/// byte; a longer one as its BLAKE3 digest with the top bit of the last byte set, so that the two
/// kinds never meet.
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
            bytes.copy_from_slice(&blake3::hash(id).as_bytes()[..16]);
            bytes[15] |= 0x80;
        }
        Self(bytes)
    }

    /// The kind byte (a length, or a digest's last byte) and the bytes that are not padding.
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
    fn short_ids_are_kept_and_long_ones_are_digests() {
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
}
