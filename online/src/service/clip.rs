//! What a client sent, as an answer to it quotes it.

/// Characters of a client's text that an answer repeats. A refusal travels in trailers, which clients
/// bound to a few KiB: one that repeated a long text would not arrive at all.
const QUOTED_MAX: usize = 64;

/// The text in backquotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_MAX) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}…` ({} bytes)", &text[..end], text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(quoted("red"), "`red`");
        assert_eq!(quoted(&"é".repeat(64)), format!("`{}`", "é".repeat(64)));
        assert_eq!(quoted(&"é".repeat(65)), format!("`{}…` (130 bytes)", "é".repeat(64)));
    }
}
