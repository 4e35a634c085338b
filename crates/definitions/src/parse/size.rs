//! States that could outgrow a store are refused where they are defined.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::File;
use super::reader::{Document, Report, Section};
use crate::explain::size;
use crate::lane::STATE_BYTES_MAX;
use crate::{Lane, Operation, Window};

/// Reports each lane whose states may become larger than [`STATE_BYTES_MAX`], at its largest feature.
pub(super) fn check(
    lanes: &[Arc<Lane>],
    files: &[File],
    places: &BTreeMap<String, String>,
    report: &Report,
) {
    for lane in lanes.iter().filter(|lane| lane.state_bytes_max() > STATE_BYTES_MAX) {
        let largest = lane.features.iter().max_by_key(|feature| feature.operation.bytes_max());
        let Some(feature) = largest else { continue };
        let group = &lane.groups[feature.group].name;
        let Some(path) = places.get(group) else { continue };
        let text =
            files.iter().find(|file| file.path == *path).map_or("", |file| file.text.as_str());
        let document = Document::new(path, text, report);
        let (key, remedy) = match feature.operation {
            Operation::CountBy { window: Window::Sliding { .. }, .. } => {
                ("limit", "lower `limit` or raise `hop`")
            }
            Operation::CountBy { .. } | Operation::Sequence { .. } => ("limit", "lower `limit`"),
            Operation::Count { .. } | Operation::Sum { .. } => ("hop", "raise `hop`"),
            _ => ("aggregate", "move features to a group of another source or entity"),
        };
        let message = format!(
            "`{}` alone may take {} of a key's state, which may then have {}; expected at most {} in all",
            feature.name,
            size(feature.operation.bytes_max()),
            size(lane.state_bytes_max()),
            size(STATE_BYTES_MAX)
        );
        let table = document.parse(text);
        let root = Section::new(&document, &table, "a group file", 1);
        let found = root.table("features").and_then(|features| features.table(&feature.name));
        let line = found.map_or(1, |feature| feature.line_of(key));
        document.mistake(line, message, Some(remedy.to_owned()));
    }
}
