//! `groups/*.toml`.

use std::sync::Arc;

use toml::de::DeTable;

use super::feature;
use super::reader::{Document, Section};
use crate::lane::{CompiledFeature, CompiledGroup};
use crate::{ColumnType, Group, Source, hash, suggest};

/// Features that a group may have.
const FEATURES_MAX: usize = 256;
/// Qualifiers of the joined row that are not groups.
const RESERVED: [&str; 2] = ["source", "request"];

/// A source as far as it could be read: `None` where its own file is wrong.
pub(super) type Sources<'s> = [(String, Option<Arc<Source>>)];

/// Reads a group's name, and the group where nothing in it is wrong.
pub(super) fn read(
    document: &Document<'_>,
    table: &DeTable<'_>,
    sources: &Sources<'_>,
) -> Option<(String, Option<CompiledGroup>)> {
    let root = Section::new(document, table, "a group file", 1);
    let head = root.need_table("group");
    let features = root.need_table("features");
    root.finish();
    let head = head?;
    let name = head.need_name("name")?;
    if RESERVED.contains(&name.value) {
        head.mistake(
            name.line,
            format!(
                "a group cannot be called `{}`: model inputs mean something else by it",
                name.value
            ),
        );
    }
    let head = read_head(head, sources);
    let features = features.and_then(|section| {
        if section.entries().len() > FEATURES_MAX {
            section.mistake(
                section.line,
                format!("too many features; expected at most {FEATURES_MAX}"),
            );
        }
        feature::read_all(section, head.as_ref().and_then(|head| head.source.as_deref()))
    });
    let name = name.value.to_owned();
    let group = head.zip(features).and_then(|(head, features)| compile(&name, head, features));
    Some((name, group))
}

struct Head {
    entity: Option<String>,
    entity_column: Option<String>,
    source_name: Option<String>,
    source: Option<Arc<Source>>,
    ttl_us: Option<i64>,
}

fn compile(
    name: &str,
    head: Head,
    features: Vec<(crate::Feature, CompiledFeature)>,
) -> Option<CompiledGroup> {
    let source = head.source?;
    let (features, compiled): (Vec<_>, Vec<_>) = features.into_iter().unzip();
    let mut group = Group {
        name: name.to_owned(),
        entity: head.entity?,
        source: head.source_name?,
        entity_column: head.entity_column?,
        ttl_us: head.ttl_us?,
        features,
        hash: [0; 32],
    };
    group.hash = hash::group(&group, &source, &compiled);
    Some(CompiledGroup { group: Arc::new(group), source, features: compiled })
}

fn read_head(head: Section<'_, '_, '_>, sources: &Sources<'_>) -> Option<Head> {
    let entity = head.need_name("entity").map(|found| found.value.to_owned());
    let source_name = head.need_text("source");
    let key = head.need_text("key");
    let ttl = head.need_duration("ttl", false);
    let source =
        source_name.and_then(|found| match sources.iter().find(|(name, _)| name == found.value) {
            Some((_, source)) => source.clone(),
            None => {
                let names: Vec<&str> = sources.iter().map(|(name, _)| name.as_str()).collect();
                head.document.mistake(
                    found.line,
                    format!(
                        "unknown source {:?}; expected one of {}",
                        found.value,
                        names.join(", ")
                    ),
                    suggest::nearest(found.value, names.iter().copied()),
                );
                None
            }
        });
    let entity_column = match (&source, key) {
        (Some(source), Some(key)) => {
            check_key(&head, source, key.value, key.line).then(|| key.value.to_owned())
        }
        _ => None,
    };
    head.finish();
    Some(Head {
        entity,
        entity_column,
        source_name: source_name.map(|found| found.value.to_owned()),
        source,
        ttl_us: ttl.map(|found| found.value),
    })
}

fn check_key(head: &Section<'_, '_, '_>, source: &Source, key: &str, line: usize) -> bool {
    let names = || source.columns.iter().map(|column| column.name.as_str());
    match source.columns.iter().find(|column| column.name == key) {
        Some(column) if column.column_type == ColumnType::String && !column.optional => true,
        Some(column) => {
            head.mistake(
                line,
                format!(
                    "`key` must be a required column of type string; `{key}` of `{}` is {}of type {}",
                    source.name,
                    if column.optional { "optional, " } else { "" },
                    column.column_type.name()
                ),
            );
            false
        }
        None => {
            let known: Vec<&str> = names().collect();
            head.document.mistake(
                line,
                format!(
                    "source `{}` has no column {key:?}; expected one of {}",
                    source.name,
                    known.join(", ")
                ),
                suggest::nearest(key, names()),
            );
            false
        }
    }
}
