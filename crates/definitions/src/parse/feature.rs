//! A feature of a group: the keys that its aggregate takes, and no others.

mod aggregate;

use std::collections::BTreeMap;

use arrow::datatypes::DataType;

use super::reader::{Found, Section};
use crate::lane::{CompiledFeature, Part};
use crate::{AggregateSpec, Feature, Source, suggest};

/// What each aggregate takes beside `aggregate` and `where`.
const TAKES: [(&str, &[&str]); 6] = [
    ("count", &["by", "limit", "window", "hop", "default"]),
    ("sum", &["value", "scale", "window", "hop", "default"]),
    ("last", &["value", "default"]),
    ("sequence", &["value", "tag", "limit"]),
    ("decayed_sum", &["value", "scale", "half_life", "default"]),
    ("interest_vector", &["over", "half_life"]),
];

type Compiled = (Feature, CompiledFeature);

/// Reads and compiles every feature; `None` when something in one is wrong or the source is not known.
pub(super) fn read_all(
    section: Section<'_, '_, '_>,
    source: Option<&Source>,
) -> Option<Vec<Compiled>> {
    let entries = section.entries();
    if entries.is_empty() {
        section.mistake(section.line, "a group needs a feature; expected `[features.<name>]`");
    }
    let mut features: Vec<Option<(Feature, BTreeMap<&'static str, usize>)>> = Vec::new();
    for (name, found) in &entries {
        let good = section.check_name("the feature", Found { value: name, line: found.line });
        let Some(table) = found.value.as_table() else {
            section.mistake(found.line, format!("the feature `{name}` is not a table"));
            features.push(None);
            continue;
        };
        let inner =
            Section::new(section.document, table, format!("the feature `{name}`"), found.line);
        features.push(read(inner, name).filter(|_| good));
    }
    check_sequences(&section, &features, &entries.iter().map(|(n, _)| *n).collect::<Vec<_>>());
    let schema = source?.expression_schema();
    let mut compiled = Vec::new();
    let before = features.len();
    for (feature, lines) in features.into_iter().flatten() {
        match CompiledFeature::compile(&feature, &schema) {
            Ok(parts) => {
                check_default(&section, &feature, &parts, &lines);
                compiled.push((feature, parts));
            }
            Err(errors) => {
                for (Part(part), error) in errors {
                    let line = lines.get(part).copied().unwrap_or(section.line);
                    let message = format!("`{part}` of `{}`: {}", feature.name, error.message);
                    section.document.mistake(line, message, error.suggestion);
                }
            }
        }
    }
    (compiled.len() == before && before > 0).then_some(compiled)
}

/// An interest vector is over a sequence of its own group.
fn check_sequences(
    section: &Section<'_, '_, '_>,
    features: &[Option<(Feature, BTreeMap<&'static str, usize>)>],
    names: &[&str],
) {
    let sequences: Vec<&str> = features
        .iter()
        .flatten()
        .filter(|(f, _)| matches!(f.aggregate, AggregateSpec::Sequence { .. }))
        .map(|(f, _)| f.name.as_str())
        .collect();
    for (feature, lines) in features.iter().flatten() {
        let AggregateSpec::InterestVector { over, .. } = &feature.aggregate else { continue };
        // A sequence whose own table is wrong has been reported already.
        let unreadable = names.iter().zip(features).any(|(n, f)| n == over && f.is_none());
        if sequences.contains(&over.as_str()) || unreadable {
            continue;
        }
        let line = lines.get("over").copied().unwrap_or(section.line);
        section.document.mistake(
            line,
            format!(
                "`over` of `{}` is {over:?}; expected a sequence of the same group: {}",
                feature.name,
                if sequences.is_empty() { "there is none".into() } else { sequences.join(", ") }
            ),
            suggest::nearest(over, sequences.iter().copied()),
        );
    }
}

fn check_default(
    section: &Section<'_, '_, '_>,
    feature: &Feature,
    parts: &CompiledFeature,
    lines: &BTreeMap<&'static str, usize>,
) {
    let Some(default) = feature.default else { return };
    let value_type = parts.value.as_ref().map(|value| value.expression.data_type().clone());
    let is_integer = match (&feature.aggregate, value_type) {
        (AggregateSpec::Count { .. }, _) => true,
        (AggregateSpec::Last { .. }, Some(DataType::Int64)) => true,
        (AggregateSpec::Last { .. }, Some(DataType::Float64)) => false,
        (AggregateSpec::Sum { .. } | AggregateSpec::DecayedSum { .. }, _) => false,
        _ => {
            let message = format!("`{}` cannot have a default: only numbers can", feature.name);
            section.mistake(lines.get("default").copied().unwrap_or(section.line), message);
            return;
        }
    };
    if is_integer && (default.fract() != 0.0 || default.abs() > crate::lane::SCALED_MAX as f64) {
        let message = format!("`default` of `{}` is {default}; expected an integer", feature.name);
        section.mistake(lines.get("default").copied().unwrap_or(section.line), message);
    }
}

fn read(
    section: Section<'_, '_, '_>,
    name: &str,
) -> Option<(Feature, BTreeMap<&'static str, usize>)> {
    let word = section.need_text("aggregate")?;
    let Some((_, takes)) = TAKES.iter().find(|(known, _)| *known == word.value) else {
        let known: Vec<&str> = TAKES.iter().map(|(known, _)| *known).collect();
        section.document.mistake(
            word.line,
            format!("unknown aggregate {:?}; expected one of {}", word.value, known.join(", ")),
            suggest::nearest(word.value, known.iter().copied()),
        );
        return None;
    };
    let mut lines = BTreeMap::new();
    for key in ["where", "value", "by", "tag", "over", "default"] {
        lines.insert(key, section.line_of(key));
    }
    foreign_keys(&section, word.value, takes);
    let filter = section.text("where").map(|found| found.value.to_owned());
    if word.value == "interest_vector" && filter.is_some() {
        section.mistake(
            section.line_of("where"),
            "an interest vector has no `where`: put it on the sequence",
        );
    }
    let aggregate = aggregate::read(&section, word.value);
    let default = if takes.contains(&"default") { section.number("default") } else { None };
    section.finish();
    let feature = Feature {
        name: name.to_owned(),
        aggregate: aggregate?,
        filter,
        default: default.map(|found| found.value),
    };
    Some((feature, lines))
}

/// Keys that belong to other aggregates are mistakes of their own, not unknown keys.
fn foreign_keys(section: &Section<'_, '_, '_>, aggregate: &str, takes: &[&str]) {
    let mut known: Vec<&str> = TAKES.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    known.sort_unstable();
    known.dedup();
    for key in known {
        if !takes.contains(&key) && section.has(key) {
            section.mistake(
                section.line_of(key),
                format!(
                    "`{key}` does not belong to the aggregate `{aggregate}`; it takes where, {}",
                    takes.join(", ")
                ),
            );
        }
    }
}
