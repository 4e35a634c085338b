//! What a client sent, as an answer to it quotes it.

/// Bytes of a client's text that an answer repeats. A refusal travels in trailers, which clients bound to a
/// few KiB: one that repeated a long text would not arrive at all.
const QUOTED_BYTES_MAX: usize = 64;

/// The text in backquotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.floor_char_boundary(QUOTED_BYTES_MAX) {
        end if end == text.len() => format!("`{text}`"),
        end => format!("`{}…` ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(quoted("red"), "`red`");
        assert_eq!(quoted(&"é".repeat(32)), format!("`{}`", "é".repeat(32)));
        assert_eq!(quoted(&"é".repeat(33)), format!("`{}…` (66 bytes)", "é".repeat(32)));
        assert_eq!(quoted(&"€".repeat(22)), format!("`{}…` (66 bytes)", "€".repeat(21)));
    }
}
