//! A text that keeps short strings beside its length: states hold millions of short keys, and a
//! pointer each would be a cache miss each.

use std::{cmp::Ordering, fmt};

const INLINE_BYTES_MAX: usize = 22;

/// `a == b`, without a call for keys of up to 16 bytes, which nearly all are.
#[inline]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let length = a.len();
    if length != b.len() || !(8..=16).contains(&length) {
        return a == b;
    }
    // Words that overlap.
    a[..8] == b[..8] && a[length - 8..] == b[length - 8..]
}

#[derive(Clone)]
pub(crate) enum Text {
    Inline { length: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Heap(Box<str>),
}

impl Text {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Heap(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Inline { .. } => std::str::from_utf8(self.as_bytes()).expect("made from a str"),
            Self::Heap(text) => text,
        }
    }

    /// Equal for equal texts and seldom for others, to be compared before the texts themselves.
    #[inline]
    pub(crate) fn print(&self) -> u64 {
        let mut padded = [0; INLINE_BYTES_MAX];
        let bytes = match self {
            Self::Inline { bytes, .. } => bytes,
            Self::Heap(text) => {
                padded.copy_from_slice(&text.as_bytes()[text.len() - INLINE_BYTES_MAX..]);
                &padded
            }
        };
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        word(0) ^ word(8).rotate_left(21) ^ word(INLINE_BYTES_MAX - 8).rotate_left(43)
    }

    /// Bytes outside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(text) => text.len(),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.len() > INLINE_BYTES_MAX {
            return Self::Heap(text.into());
        }
        let (from, length) = (text.as_bytes(), text.len());
        let mut bytes = [0; INLINE_BYTES_MAX];
        // Copies of a fixed size that overlap, since a copy of a variable size is a call.
        if length >= 8 {
            if length >= 16 {
                bytes[8..16].copy_from_slice(&from[8..16]);
            }
            bytes[..8].copy_from_slice(&from[..8]);
            bytes[length - 8..length].copy_from_slice(&from[length - 8..]);
        } else {
            bytes.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte);
        }
        Self::Inline { length: length as u8, bytes }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Inline { length: 0, bytes: [0; INLINE_BYTES_MAX] }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline { length: a, bytes: x }, Self::Inline { length: b, bytes: y }) => {
                a == b && x == y
            }
            (Self::Heap(a), Self::Heap(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_equality_do_not_see_where_the_bytes_lie() {
        let longest = "0123456789012345678901";
        let longer = "01234567890123456789012";
        assert!(matches!(Text::from(longest), Text::Inline { .. }));
        assert!(matches!(Text::from(longer), Text::Heap(_)));
        assert!(Text::from(longest) < Text::from(longer));
        assert!(Text::from("9") > Text::from(longer));
        assert_eq!(Text::from("héllo").as_str(), "héllo");
        assert_eq!(size_of::<Text>(), 24);
    }

    #[test]
    fn every_length_round_trips() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        for length in 0..=text.len() {
            for changed in 0..length {
                let mut other = text.as_bytes()[..length].to_vec();
                other[changed] = b'-';
                assert!(!equal(&text.as_bytes()[..length], &other));
            }
            assert!(equal(&text.as_bytes()[..length], &text.as_bytes().to_vec()[..length]));
            assert!(
                !equal(&text.as_bytes()[..length], &text.as_bytes()[..length.saturating_sub(1)])
                    || length == 0
            );
            let (a, b) = (Text::from(&text[..length]), Text::from(&text[..length]));
            assert_eq!(a.as_str(), &text[..length]);
            assert_eq!(a, b);
            assert!((0..length).all(|other| a != Text::from(&text[..other])));
        }
    }
}
