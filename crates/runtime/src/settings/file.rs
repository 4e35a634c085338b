//! The settings file: its leaves with their lines.

use std::ops::Range;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::Error;

/// A leaf of the file: dotted key, value (a table only where it is empty), line from 1.
pub(crate) struct Leaf {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) line: usize,
}

/// Every leaf of a TOML text, in the order of its keys.
pub(crate) fn leaves(path: &Path, text: &str) -> Result<Vec<Leaf>, Error> {
    let syntax = |error: &toml::de::Error| Error::Syntax {
        path: path.to_owned(),
        line: line(text, error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    };
    let values: toml::Table = toml::from_str(text).map_err(|error| syntax(&error))?;
    let spans = DeTable::parse(text).map_err(|error| syntax(&error))?;
    let mut found = Vec::new();
    walk(text, "", &values, spans.get_ref(), &mut found);
    Ok(found)
}

fn walk(
    text: &str,
    prefix: &str,
    values: &toml::Table,
    spans: &DeTable<'_>,
    found: &mut Vec<Leaf>,
) {
    for (key, value) in spans {
        let name = key.get_ref().as_ref();
        let dotted = join(prefix, name);
        match (value.get_ref(), values.get(name)) {
            (DeValue::Table(inner), Some(Value::Table(table))) if !table.is_empty() => {
                walk(text, &dotted, table, inner, found);
            }
            (_, Some(leaf)) => {
                found.push(Leaf { key: dotted, value: leaf.clone(), line: line(text, key.span()) })
            }
            (_, None) => {}
        }
    }
}

pub(crate) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn line(text: &str, span: Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}
