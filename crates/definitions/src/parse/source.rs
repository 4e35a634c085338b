//! `sources/*.toml`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use record::{TOPIC_NAME, is_topic_name};
use toml::de::DeTable;

use super::reader::{Document, Found, Report, Section};
use crate::{Column, ColumnType, Source, suggest};

/// Columns that a source may have.
const COLUMNS_MAX: usize = 128;
const TYPES: [&str; 5] = ["string", "int64", "float64", "boolean", "timestamp"];

/// Reads a source; `None` when something in it is wrong, which was reported.
pub(super) fn read(
    document: &Document<'_>,
    table: &DeTable<'_>,
) -> Option<(String, Option<Source>)> {
    let root = Section::new(document, table, "a source file", 1);
    let head = root.need_table("source");
    let columns = root.need_table("columns");
    root.finish();
    let (head, columns) = (head?, columns.map(read_columns));
    let name = head.need_name("name")?.value.to_owned();
    let source = read_head(head, &name, columns.unwrap_or_default());
    Some((name, source))
}

fn read_head(head: Section<'_, '_, '_>, name: &str, columns: Vec<Column>) -> Option<Source> {
    let topic = head.need_text("topic").filter(|topic| check_topic(&head, *topic));
    let format = head.need_text("format");
    if let Some(format) = format
        && format.value != "json"
    {
        head.mistake(format.line, format!("unknown format {:?}; expected \"json\"", format.value));
    }
    let column = |key: &str, column_type: ColumnType| {
        let found = head.need_text(key)?;
        find(&head, key, found, &columns, column_type)
    };
    let key = column("key", ColumnType::String);
    let event_id = column("event_id", ColumnType::String);
    let event_time = column("event_time", ColumnType::Timestamp);
    let allowed_lateness = head.need_duration("allowed_lateness", true);
    let max_future = head.need_duration("max_future", true);
    let earliest = head.need_time("earliest");
    let file = head.document.path().to_owned();
    head.finish();
    let fields: Vec<Field> = columns
        .iter()
        // A rejected row is null in every column, so every column is nullable.
        .map(|column| Field::new(&column.name, column.column_type.data_type(), true))
        .collect();
    Some(Source {
        name: name.to_owned(),
        topic: topic?.value.to_owned(),
        file,
        line: topic?.line,
        key: key?,
        event_time: event_time?,
        event_id: event_id?,
        allowed_lateness_us: allowed_lateness?.value,
        max_future_us: max_future?.value,
        earliest_us: earliest?.value,
        schema: Arc::new(Schema::new(fields)),
        columns,
    })
}

/// Reports what no log could create.
fn check_topic(head: &Section<'_, '_, '_>, topic: Found<&str>) -> bool {
    let good = is_topic_name(topic.value);
    if !good {
        let message = format!("`topic` is {:?}; expected {TOPIC_NAME}", topic.value);
        head.mistake(topic.line, message);
    }
    good
}

/// Reports a topic that two sources name: each would take the other's records for its own.
pub(super) fn check_topics<'a>(sources: impl Iterator<Item = &'a Source>, report: &Report) {
    let mut taken: BTreeMap<&str, &Source> = BTreeMap::new();
    for source in sources {
        let first = *taken.entry(&source.topic).or_insert(source);
        if first.name == source.name {
            continue;
        }
        let message = format!(
            "the topic `{}` is that of source `{}` ({}:{}) already; expected one of its own",
            source.topic, first.name, first.file, first.line
        );
        Document::new(&source.file, "", report).mistake(source.line, message, None);
    }
}

/// A column that every record must have, of one type.
fn find(
    head: &Section<'_, '_, '_>,
    key: &str,
    found: Found<&str>,
    columns: &[Column],
    column_type: ColumnType,
) -> Option<usize> {
    let Some(index) = columns.iter().position(|column| column.name == found.value) else {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        head.document.mistake(
            found.line,
            format!(
                "`{key}` names no column {:?}; expected one of {}",
                found.value,
                names.join(", ")
            ),
            suggest::nearest(found.value, names.iter().copied()),
        );
        return None;
    };
    let column = &columns[index];
    if column.column_type != column_type || column.optional {
        head.mistake(
            found.line,
            format!(
                "`{key}` must be a required column of type {}; `{}` is {}{}",
                column_type.name(),
                column.name,
                if column.optional { "optional, of type " } else { "of type " },
                column.column_type.name()
            ),
        );
        return None;
    }
    Some(index)
}

fn read_columns(section: Section<'_, '_, '_>) -> Vec<Column> {
    let mut columns = Vec::new();
    for (name, found) in section.entries() {
        let good = section.check_name("the column", Found { value: name, line: found.line });
        let (column_type, optional) = match found.value.as_table() {
            None => (found.value.as_str().map(|t| Found { value: t, line: found.line }), false),
            Some(table) => {
                let inner = Section::new(
                    section.document,
                    table,
                    format!("the column `{name}`"),
                    found.line,
                );
                let column_type = inner.need_text("type");
                let optional = inner.boolean("optional").is_some_and(|optional| optional.value);
                inner.finish();
                if column_type.is_none() {
                    continue;
                }
                (column_type, optional)
            }
        };
        let Some(text) = column_type else {
            section.mistake(found.line, format!("the column `{name}` has no type; expected one of {}, or a table with `type` and `optional`", TYPES.join(", ")));
            continue;
        };
        match ColumnType::from_name(text.value) {
            Some(column_type) if good => {
                columns.push(Column { name: name.to_owned(), column_type, optional });
            }
            Some(_) => {}
            None => section.document.mistake(
                text.line,
                format!(
                    "unknown type {:?} of the column `{name}`; expected one of {}",
                    text.value,
                    TYPES.join(", ")
                ),
                suggest::nearest(text.value, TYPES),
            ),
        }
    }
    if columns.len() > COLUMNS_MAX {
        section.mistake(
            section.line,
            format!("{} columns; expected at most {COLUMNS_MAX}", columns.len()),
        );
    }
    columns
}
