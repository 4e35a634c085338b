//! A shop's definitions and records for tests. The files under `tests/shop` are the tests' own, so that
//! the demo may change what it computes.

use definitions::parse::{File, parse};
use definitions::{Definitions, EventBatch};
use record::{AppendTime, Offset, Partition, Record};
use std::sync::Arc;

pub(crate) fn demo_files() -> Vec<File> {
    macro_rules! files {
        ($($path:literal),* $(,)?) => {
            vec![$(File {
                path: $path.into(),
                text: include_str!(concat!("../shop/", $path)).into(),
            }),*]
        };
    }
    files![
        "groups/item_attributes.toml",
        "groups/item_popularity.toml",
        "groups/user_activity.toml",
        "groups/user_interest.toml",
        "models/ranker.toml",
        "sources/catalog.toml",
        "sources/clickstream.toml",
    ]
}

pub(crate) fn demo() -> Definitions {
    parse(&demo_files()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The demo's files with one text replaced by another.
pub(crate) fn changed(path: &str, from: &str, to: &str) -> Vec<File> {
    let mut files = demo_files();
    let file = files.iter_mut().find(|file| file.path == path).expect("a demo file");
    assert!(file.text.contains(from), "{path} has no {from:?}");
    file.text = file.text.replace(from, to);
    files
}

pub(crate) fn record(offset: u64, key: &str, json: &str) -> Record {
    Record {
        partition: Partition(0),
        offset: Offset(offset),
        append_time: AppendTime(1_800_000_000_000),
        key: key.as_bytes().to_vec(),
        value: json.as_bytes().to_vec(),
        trace: None,
    }
}

/// Decodes values of the visitor `v` as records of a log with one partition.
pub(crate) fn decode(definitions: &Definitions, source: &str, values: &[&str]) -> EventBatch {
    let source = definitions.sources.iter().find(|s| s.name == source).expect("a source");
    let records: Vec<Record> =
        values.iter().enumerate().map(|(i, json)| record(i as u64, "v", json)).collect();
    definitions::decode::Decoder::new(Arc::clone(source), Partition(0), 1).decode(&records)
}

/// A click of the visitor `v` with some members more.
pub(crate) fn click(id: u32, more: &str) -> String {
    format!(
        r#"{{"event_id":"e{id}","event_time":1700000000000000,"visitor_id":"v","item_id":"i{id}"{more}}}"#
    )
}
