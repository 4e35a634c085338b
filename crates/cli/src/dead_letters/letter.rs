//! One dead letter, as its topic holds it.

use serde::{Deserialize, Serialize};

/// A dead letter: of a record of the log, or of a line that never became one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Letter {
    /// Written by a lane.
    Record(OfRecord),
    /// Written by `import`.
    Line(OfLine),
}

/// A record that a lane refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfRecord {
    /// `lane/partition/offset`.
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) entity: String,
    pub(crate) topic: String,
    /// Id of the log that the position counts in.
    pub(crate) log: String,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    pub(crate) append_time_ms: i64,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) key: Original,
    pub(crate) value: Original,
}

/// A line of a file that `import` refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfLine {
    /// `file digest:line`.
    pub(crate) id: String,
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) original: String,
}

/// Original bytes: as text where they are UTF-8, else in hexadecimal; those that are too large for a
/// letter lie in the log only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Original {
    Text(String),
    Hex(String),
    LeftOut { bytes: usize },
}

impl Letter {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Record(letter) => &letter.id,
            Self::Line(letter) => &letter.id,
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Record(letter) => &letter.reason,
            Self::Line(letter) => &letter.reason,
        }
    }

    /// The source whose lane refused it; a line has none yet.
    pub(crate) fn source(&self) -> Option<&str> {
        match self {
            Self::Record(letter) => Some(&letter.source),
            Self::Line(_) => None,
        }
    }

    /// One line for a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Record(letter) => format!(
                "{:<14} {} {}/{}/{} by {}: {}: {}",
                letter.reason,
                letter.source,
                letter.topic,
                letter.partition,
                letter.offset,
                letter.entity,
                letter.detail,
                letter.value.text()
            ),
            Self::Line(letter) => format!(
                "{:<14} {} line {}: {}: {}",
                letter.reason,
                letter.file,
                letter.line,
                letter.detail,
                clipped(&letter.original)
            ),
        }
    }
}

impl Original {
    /// The bytes, if the letter has them.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Hex(digits) => {
                let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
                (0..digits.len()).step_by(2).map(pair).collect()
            }
            Self::LeftOut { .. } => None,
        }
    }

    /// Bytes that the letter takes for it.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Hex(text) => text.len(),
            Self::LeftOut { .. } => 0,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => clipped(text),
            Self::Hex(digits) => format!("0x{}", clipped(digits)),
            Self::LeftOut { bytes } => format!("({bytes} bytes)"),
        }
    }
}

/// As much of a text as a line of a list has room for.
fn clipped(text: &str) -> String {
    const SHOWN_MAX: usize = 160;
    match text.len() > SHOWN_MAX {
        true => format!("{}…", &text[..text.floor_char_boundary(SHOWN_MAX)]),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_back_and_originals_are_the_bytes_that_were() {
        let record = r#"{"id":"00/1/2","source":"clickstream","entity":"visitor","topic":"clickstream","log":"ab","partition":1,"offset":2,"append_time_ms":3,"reason":"malformed","detail":"","key":{"text":"v1"},"value":{"hex":"ff00"}}"#;
        let Letter::Record(letter) = serde_json::from_str(record).unwrap() else { panic!() };
        assert_eq!(letter.key.bytes().unwrap(), b"v1");
        assert_eq!(letter.value.bytes().unwrap(), [0xff, 0]);
        assert_eq!(Original::Hex("f".to_owned()).bytes(), None);
        assert_eq!(Original::LeftOut { bytes: 9 }.bytes(), None);
        let line = r#"{"id":"ab:3","file":"a.csv","line":3,"reason":"too_early","detail":"d","original":"1,2"}"#;
        let letter: Letter = serde_json::from_str(line).unwrap();
        assert_eq!((letter.reason(), letter.source()), ("too_early", None));
        assert!(letter.text().contains("a.csv line 3: d: 1,2"));
    }
}
