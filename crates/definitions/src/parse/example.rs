//! `*.examples.toml`: golden examples beside a group.

use std::sync::Arc;

use record::{AppendTime, EventTime};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Document, Section, integer, number};
use crate::decode::parse_rfc3339;
use crate::example::{Example, ExampleEvent, Expected};
use crate::lane::CompiledGroup;
use crate::{Source, suggest};

/// Reads a file of examples over the groups that are right.
pub(super) fn read(
    document: &Document<'_>,
    table: &DeTable<'_>,
    groups: &[CompiledGroup],
    broken: &dyn Fn(&str) -> bool,
) -> Vec<Example> {
    let root = Section::new(document, table, "an examples file", 1);
    let group = root.need_text("group");
    let examples = root.tables("examples");
    if !root.has("examples") {
        root.mistake(1, "an examples file needs an `[[examples]]`");
    }
    root.finish();
    let Some(group) = group else { return Vec::new() };
    let Some(compiled) = groups.iter().find(|compiled| compiled.group.name == group.value) else {
        if !broken(group.value) {
            let names: Vec<&str> = groups.iter().map(|g| g.group.name.as_str()).collect();
            document.mistake(
                group.line,
                format!("unknown group {:?}; expected one of {}", group.value, names.join(", ")),
                suggest::nearest(group.value, names.iter().copied()),
            );
        }
        return Vec::new();
    };
    examples.into_iter().filter_map(|section| example(section, compiled)).collect()
}

fn example(section: Section<'_, '_, '_>, compiled: &CompiledGroup) -> Option<Example> {
    let name = section.need_text("name");
    let key = section.need_text("key");
    let as_of = section.need_time("as_of");
    let events: Vec<Option<ExampleEvent>> = section
        .tables("events")
        .into_iter()
        .map(|event| read_event(event, &compiled.source))
        .collect();
    let expected = section.need_table("expect").map(|expect| read_expected(&expect, compiled));
    let line = section.line;
    let file = section.document.path().to_owned();
    section.finish();
    Some(Example {
        file,
        line,
        name: name?.value.to_owned(),
        group: compiled.group.name.clone(),
        key: key?.value.to_owned(),
        as_of: EventTime(as_of?.value),
        events: events.into_iter().collect::<Option<_>>()?,
        expected: expected??,
    })
}

/// An event is a table of columns; `append_time` beside them is the log's.
fn read_event(section: Section<'_, '_, '_>, source: &Arc<Source>) -> Option<ExampleEvent> {
    let append =
        if section.has("append_time") { Some(section.need_time("append_time")?) } else { None };
    let mut members = serde_json::Map::new();
    for (name, found) in section.entries() {
        if name == "append_time" && source.column(name).is_none() {
            continue;
        }
        if source.column(name).is_none() {
            // A producer may send more than the source knows; here it is a slip of the pen.
            let names = || source.columns.iter().map(|column| column.name.as_str());
            let known: Vec<&str> = names().collect();
            let message = format!(
                "source `{}` has no column `{name}`; expected one of {}",
                source.name,
                known.join(", ")
            );
            section.document.mistake(found.line, message, suggest::nearest(name, names()));
            return None;
        }
        match json(found.value) {
            Some(value) => {
                members.insert(name.to_owned(), value);
            }
            None => {
                section
                    .mistake(found.line, format!("`{name}` is of a type that JSON does not have"));
                return None;
            }
        }
    }
    let text = |index: usize| members.get(&source.columns[index].name);
    let key = text(source.key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let event_time =
        text(source.event_time).and_then(|v| v.as_i64().or_else(|| parse_rfc3339(v.as_str()?)));
    let append_us = append.map(|found| found.value).or(event_time);
    let Some(append_us) = append_us else {
        section.mistake(
            section.line,
            "an event needs `append_time` where its event time cannot be read",
        );
        return None;
    };
    // Rounded up: the log cannot have taken the record before it happened.
    let append_time =
        AppendTime(append_us.div_euclid(1000) + i64::from(append_us.rem_euclid(1000) > 0));
    Some(ExampleEvent { append_time, key, json: serde_json::Value::Object(members).to_string() })
}

fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(value) => (*value).into(),
        DeValue::Integer(_) => integer(value)?.into(),
        DeValue::Float(_) => number(value)?.into(),
        DeValue::Array(array) => {
            array.iter().map(|v| json(v.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => table
            .iter()
            .map(|(name, value)| Some((name.get_ref().to_string(), json(value.get_ref())?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
        DeValue::Datetime(_) => return None,
    })
}

fn read_expected(
    section: &Section<'_, '_, '_>,
    compiled: &CompiledGroup,
) -> Option<Vec<(String, Expected)>> {
    let mut good = true;
    let mut expected = Vec::new();
    for (name, found) in section.entries() {
        let names = || compiled.group.features.iter().map(|feature| feature.name.as_str());
        if !names().any(|known| known == name) {
            let known: Vec<&str> = names().collect();
            section.document.mistake(
                found.line,
                format!(
                    "`{}` has no feature `{name}`; expected one of {}",
                    compiled.group.name,
                    known.join(", ")
                ),
                suggest::nearest(name, names()),
            );
            good = false;
            continue;
        }
        match value(found.value) {
            Some(value) => expected.push((name.to_owned(), value)),
            None => {
                let message = format!(
                    "`{name}` is not a value that a feature can have; expected a number, text, a boolean, a table of counts, an array of {{ item, at, tag }}, or {{ null = true }}"
                );
                section.mistake(found.line, message);
                good = false;
            }
        }
    }
    good.then_some(expected)
}

fn value(value: &DeValue<'_>) -> Option<Expected> {
    Some(match value {
        DeValue::Integer(_) => Expected::Int(integer(value)?),
        DeValue::Float(_) => Expected::Float(number(value)?),
        DeValue::Boolean(value) => Expected::Bool(*value),
        DeValue::String(text) => Expected::Text(text.to_string()),
        DeValue::Table(table) => {
            let member = |name: &str| {
                table
                    .iter()
                    .find(|(key, _)| key.get_ref() == name)
                    .map(|(_, value)| value.get_ref())
            };
            if table.iter().count() == 1 && member("null").and_then(DeValue::as_bool) == Some(true)
            {
                return Some(Expected::Null);
            }
            match (member("entries").and_then(DeValue::as_table), member("complete")) {
                (Some(counts), Some(complete)) => {
                    Expected::Map { entries: entries(counts)?, complete: complete.as_bool()? }
                }
                _ => Expected::Map { entries: entries(table)?, complete: true },
            }
        }
        DeValue::Array(array) => {
            Expected::Sequence(array.iter().map(element).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}

fn entries(table: &DeTable<'_>) -> Option<Vec<(String, i64)>> {
    let mut entries = table
        .iter()
        .map(|(name, count)| Some((name.get_ref().to_string(), integer(count.get_ref())?)))
        .collect::<Option<Vec<_>>>()?;
    entries.sort();
    Some(entries)
}

fn element(value: &Spanned<DeValue<'_>>) -> Option<(String, EventTime, String)> {
    let table = value.get_ref().as_table()?;
    let text = |name: &str| {
        table
            .iter()
            .find(|(key, _)| key.get_ref() == name)
            .and_then(|(_, value)| value.get_ref().as_str())
    };
    if table.iter().count() != 3 {
        return None;
    }
    Some((
        text("item")?.to_owned(),
        EventTime(parse_rfc3339(text("at")?)?),
        text("tag")?.to_owned(),
    ))
}
