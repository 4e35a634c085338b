//! From files to [`Definitions`]: strict, every mistake named with its line.
//!
//! Sources come first, groups are checked against them, models and examples against the groups. A
//! file that is wrong does not hide the mistakes of another: what depends on it is not judged, all else is.

mod example;
mod feature;
mod group;
mod model;
mod reader;
mod section;
mod size;
mod source;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lane::{self, CompiledGroup};
use crate::{Definitions, Diagnostics, ITEM_ENTITY, suggest};
use reader::{Document, Report};

/// A definition file: its path (for messages, and `sources/`, `groups/` or `models/` in it says the
/// kind; a name that ends in `.examples.toml` holds golden examples) and its text.
#[derive(Debug, Clone)]
pub struct File {
    /// Path relative to the definitions directory.
    pub path: String,
    /// Content.
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Source,
    Group,
    Model,
    Examples,
}

impl Kind {
    fn of(path: &str) -> Option<Self> {
        let path = path.replace('\\', "/");
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name.ends_with(".examples.toml") {
            return Some(Self::Examples);
        }
        if !name.ends_with(".toml") {
            return None;
        }
        // The nearest folder decides: a directory of definitions may itself lie in one called `models`.
        folder.rsplit('/').find_map(|folder| match folder {
            "sources" => Some(Self::Source),
            "groups" => Some(Self::Group),
            "models" => Some(Self::Model),
            _ => None,
        })
    }
}

/// Parses and checks a directory's files.
///
/// # Errors
/// Every mistake in every file, with file, line, what was expected and a suggestion.
pub fn parse(files: &[File]) -> Result<Definitions, Diagnostics> {
    let report = Report::default();
    let of_kind = |kind: Kind| files.iter().filter(move |file| Kind::of(&file.path) == Some(kind));
    for file in files.iter().filter(|file| Kind::of(&file.path).is_none()) {
        Document::new(&file.path, "", &report).mistake(
            1,
            "not a definition: expected a .toml file in sources/, groups/ or models/, or a .examples.toml",
            None,
        );
    }

    let mut sources = Named::new("source");
    for file in of_kind(Kind::Source) {
        let document = Document::new(&file.path, &file.text, &report);
        let before = report.len();
        let read = source::read(&document, &document.parse(&file.text));
        sources.add(&document, read, report.len() == before);
    }
    let known: Vec<_> =
        sources.found.into_iter().map(|(name, source)| (name, source.map(Arc::new))).collect();
    source::check_topics(known.iter().filter_map(|(_, source)| source.as_deref()), &report);

    let mut groups = Named::new("group");
    for file in of_kind(Kind::Group) {
        let document = Document::new(&file.path, &file.text, &report);
        let before = report.len();
        let read = group::read(&document, &document.parse(&file.text), &known);
        groups.add(&document, read, report.len() == before);
    }
    check_keys(&groups.found, &groups.places, &report);
    check_items(&groups.found, &groups.places, &report);
    let broken: BTreeSet<String> =
        groups.found.iter().filter(|(_, g)| g.is_none()).map(|(name, _)| name.clone()).collect();
    let Named { found, places, .. } = groups;
    let groups: Vec<CompiledGroup> = found.into_values().flatten().collect();
    let lanes = lane::build(&groups);
    size::check(&lanes, files, &places, &report);

    let mut models = Named::new("model");
    for file in of_kind(Kind::Model) {
        let document = Document::new(&file.path, &file.text, &report);
        let before = report.len();
        let read = model::read(&document, &document.parse(&file.text), &lanes, &broken);
        models.add(&document, read, report.len() == before);
    }

    let mut examples = Vec::new();
    for file in of_kind(Kind::Examples) {
        let document = Document::new(&file.path, &file.text, &report);
        let table = document.parse(&file.text);
        examples.extend(example::read(&document, &table, &groups, &|name| broken.contains(name)));
    }

    let mistakes = report.into_sorted();
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes));
    }
    Ok(Definitions {
        sources: known.into_iter().filter_map(|(_, source)| source).collect(),
        groups: groups.iter().map(|compiled| Arc::clone(&compiled.group)).collect(),
        models: models.found.into_values().flatten().map(Arc::new).collect(),
        examples,
        lanes,
    })
}

/// Definitions of one kind by name, with the file of each.
struct Named<T> {
    kind: &'static str,
    found: BTreeMap<String, Option<T>>,
    places: BTreeMap<String, String>,
}

impl<T> Named<T> {
    fn new(kind: &'static str) -> Self {
        Self { kind, found: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Takes in what a file gave; `good` says whether nothing in it was wrong.
    fn add(&mut self, document: &Document<'_>, read: Option<(String, Option<T>)>, good: bool) {
        let Some((name, definition)) = read else { return };
        if let Some(other) = self.places.get(&name) {
            let message = format!("the {} `{name}` is defined in {other} already", self.kind);
            document.mistake(1, message, None);
            return;
        }
        self.places.insert(name.clone(), document.path().to_owned());
        self.found.insert(name, definition.filter(|_| good));
    }
}

/// Groups of one source and entity make one lane, and a lane has one key.
fn check_keys(
    groups: &BTreeMap<String, Option<CompiledGroup>>,
    places: &BTreeMap<String, String>,
    report: &Report,
) {
    let mut keys: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for (name, compiled) in groups {
        let Some(CompiledGroup { group, .. }) = compiled else { continue };
        let (first, column) =
            keys.entry((&group.source, &group.entity)).or_insert((name, &group.entity_column));
        if *column != group.entity_column {
            let message = format!(
                "`key` is `{}`, but the group `{first}` of the same source and entity has `{column}`; expected the same",
                group.entity_column
            );
            Document::new(&places[name], "", report).mistake(1, message, None);
        }
    }
}

/// The items' features are found by their entity's name, and every other entity's are a visitor's: a slip in that
/// name would take them away from models, filters and answers without a word.
fn check_items(
    groups: &BTreeMap<String, Option<CompiledGroup>>,
    places: &BTreeMap<String, String>,
    report: &Report,
) {
    let groups = || groups.iter().filter_map(|(name, group)| Some((name, &group.as_ref()?.group)));
    let of_items: BTreeMap<&str, &str> = groups()
        .filter(|(_, group)| group.entity == ITEM_ENTITY)
        .map(|(name, group)| (group.entity_column.as_str(), name.as_str()))
        .collect();
    for (name, group) in groups().filter(|(_, group)| group.entity != ITEM_ENTITY) {
        let meant = suggest::nearest(&group.entity, [ITEM_ENTITY]);
        let message = match of_items.get(group.entity_column.as_str()) {
            Some(other) => format!(
                "`entity` is `{}`, but its `key`, `{}`, is that of the entity `{ITEM_ENTITY}` in the group \
                 `{other}`; expected `{ITEM_ENTITY}`",
                group.entity, group.entity_column
            ),
            None if meant.is_some() => {
                format!("`entity` is `{}`; expected `{ITEM_ENTITY}`, or another name", group.entity)
            }
            None => continue,
        };
        Document::new(&places[name], "", report).mistake(1, message, meant);
    }
}
