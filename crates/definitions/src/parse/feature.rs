//! A feature of a group: the keys that its aggregate takes, and no others.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;

use super::reader::{Found, Section};
use crate::lane::{CompiledFeature, Part};
use crate::{AggregateSpec, Feature, Source, Window, suggest};

/// Tiles that a window may have.
const TILES_MAX: i64 = 1024;
/// Keys per tile of a count `by`.
const KEYS_MAX: i64 = 4096;
/// Elements of a sequence.
const SEQUENCE_MAX: i64 = 1000;
/// Decimal digits of a sum.
const SCALE_MAX: i64 = 9;

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
    let aggregate = aggregate(&section, word.value);
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

fn aggregate(section: &Section<'_, '_, '_>, word: &str) -> Option<AggregateSpec> {
    let text = |key: &str| section.need_text(key).map(|found| found.value.to_owned());
    match word {
        "count" if section.has("by") => {
            let (by, limit, window) = (text("by"), limit(section, KEYS_MAX), window(section));
            Some(AggregateSpec::CountBy { by: by?, limit: limit?, window: window? })
        }
        "count" => {
            if section.has("limit") {
                section.mistake(section.line_of("limit"), "`limit` of a count needs `by`");
            }
            Some(AggregateSpec::Count { window: window(section)? })
        }
        "sum" => {
            let (value, scale, window) = (text("value"), scale(section), window(section));
            Some(AggregateSpec::Sum { value: value?, scale: scale?, window: window? })
        }
        "last" => Some(AggregateSpec::Last { value: text("value")? }),
        "sequence" => {
            let tag = section.text("tag").map(|found| found.value.to_owned());
            let (value, limit) = (text("value"), limit(section, SEQUENCE_MAX));
            Some(AggregateSpec::Sequence { value: value?, tag, limit: limit? })
        }
        "decayed_sum" => {
            let value = section.text("value").map(|found| found.value.to_owned());
            let (scale, half_life) = (scale(section), section.need_duration("half_life", false));
            Some(AggregateSpec::DecayedSum { value, scale: scale?, half_life_us: half_life?.value })
        }
        "interest_vector" => {
            let (over, half_life) = (text("over"), section.need_duration("half_life", false));
            Some(AggregateSpec::InterestVector { over: over?, half_life_us: half_life?.value })
        }
        _ => None,
    }
}

/// An integer between bounds that must be there.
fn bounded(section: &Section<'_, '_, '_>, key: &str, from: i64, to: i64) -> Option<i64> {
    let expected = format!("an integer from {from} to {to}");
    let found = section.need(key, &expected, section.integer(key))?;
    if !(from..=to).contains(&found.value) {
        section.mistake(found.line, format!("`{key}` is {}; expected {expected}", found.value));
        return None;
    }
    Some(found.value)
}

fn limit(section: &Section<'_, '_, '_>, max: i64) -> Option<u32> {
    bounded(section, "limit", 1, max).and_then(|limit| u32::try_from(limit).ok())
}

fn scale(section: &Section<'_, '_, '_>) -> Option<u8> {
    bounded(section, "scale", 0, SCALE_MAX).and_then(|scale| u8::try_from(scale).ok())
}

/// `window` with `hop`; neither means everything.
fn window(section: &Section<'_, '_, '_>) -> Option<Window> {
    let wanted = (section.has("window"), section.has("hop"));
    let (window, hop) = (section.duration("window", false), section.duration("hop", false));
    match (window, hop) {
        (None, None) if wanted == (false, false) => Some(Window::Lifetime),
        (Some(window), Some(hop)) => {
            let (window_us, hop_us) = (window.value, hop.value);
            if window_us % hop_us != 0 {
                let message = "`window` is not a multiple of `hop`; expected one, so that the tail moves in whole hops";
                section.mistake(window.line, message);
                return None;
            }
            if window_us / hop_us > TILES_MAX {
                section.mistake(
                    hop.line,
                    format!(
                        "`window` has {} hops; expected at most {TILES_MAX}",
                        window_us / hop_us
                    ),
                );
                return None;
            }
            Some(Window::Sliding { window_us, hop_us })
        }
        _ => {
            if wanted == (true, false) {
                section.mistake(
                    section.line_of("window"),
                    "`window` needs `hop`, the step of its tail, such as \"1h\"",
                );
            } else if wanted == (false, true) {
                section.mistake(section.line_of("hop"), "`hop` needs `window`");
            }
            None
        }
    }
}
