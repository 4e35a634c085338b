//! A text that keeps short strings beside its length: states hold millions of short keys, and a
//! pointer each would be a cache miss each.

use std::{cmp::Ordering, fmt};

const INLINE_BYTES_MAX: usize = 22;

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
        let mut bytes = [0; INLINE_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Self::Inline { length: text.len() as u8, bytes }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::Inline { length: 0, bytes: [0; INLINE_BYTES_MAX] }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
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
        assert_eq!(std::mem::size_of::<Text>(), 24);
    }
}
