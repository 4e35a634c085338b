//! What a log and its states must be, whatever happened: read past the binary, and replayed afresh.

use std::path::Path;
use std::time::Duration;

use embedded::Database;
use event_log::{EventLog, NewRecord};
use online_store::OnlineStore;
use record::{Offset, Partition};
use runtime::clock::Clock;
use serde_json::Value;

use crate::twofold::Twofold;

fn open(directory: &Path) -> (event_log::Embedded, online_store::Embedded) {
    let database = Database::open(directory).unwrap();
    let settings = event_log::Settings {
        clock: std::sync::Arc::new(|| Clock::system().append_time()),
        entropy: std::sync::Arc::new(|| [7; 16]),
    };
    let log = event_log::Embedded::open(&database, settings).unwrap();
    (log, online_store::Embedded::open(&database, online_store::Settings::default()).unwrap())
}

/// Appends records, in their order, to a topic of a directory that nobody owns.
pub(crate) fn append(directory: &Path, topic: &str, records: Vec<(Vec<u8>, Vec<u8>)>) {
    const BATCH: usize = 5000;
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let (log, _store) = open(directory);
    let mut records =
        records.into_iter().map(|(key, value)| NewRecord { key, value, trace: None }).peekable();
    while records.peek().is_some() {
        let batch = records.by_ref().take(BATCH).collect();
        let outcomes = tokio.block_on(log.append(topic, batch)).unwrap();
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}

/// The bytes of every record of a topic.
pub(crate) async fn records(directory: &Path, topic: &str) -> Vec<Vec<u8>> {
    let (log, _store) = open(directory);
    let mut all = Vec::new();
    for partition in 0..log.topic(topic).await.unwrap().partitions {
        let mut reader = log.reader(topic, Partition(partition), Offset(0)).await.unwrap();
        loop {
            let records = reader.next(4096, Duration::ZERO).await.unwrap();
            if records.is_empty() {
                break;
            }
            all.extend(records.into_iter().map(|record| record.value));
        }
    }
    all
}

/// One text field of every record of a topic of JSON objects.
pub(crate) async fn fields(directory: &Path, topic: &str, name: &str) -> Vec<String> {
    let field = |value: Vec<u8>| {
        let object: Value = serde_json::from_slice(&value).unwrap();
        object[name].as_str().unwrap().to_owned()
    };
    records(directory, topic).await.into_iter().map(field).collect()
}

/// Digests of every (lane, partition).
pub(crate) fn digests(status: &Value) -> Vec<String> {
    let lanes = status["lanes"].as_array().unwrap().iter();
    lanes.map(|lane| lane["digest"].as_str().unwrap().to_owned()).collect()
}

/// Every lane has read the whole log, and says what became of each record.
pub(crate) fn assert_accounted(status: &Value, what: &str) {
    for lane in status["lanes"].as_array().unwrap() {
        let count = |name: &str| lane[name].as_u64().unwrap();
        let judged = count("applied") + count("duplicate") + count("late") + count("dead_lettered");
        assert_eq!(count("read"), judged, "{what}: {lane}");
        assert_eq!(count("read"), count("position"), "{what}: the log has no gaps: {lane}");
        assert_eq!(count("lag"), 0, "{what}: {lane}");
    }
}

/// Forgets every lane and drains the whole log again: the status that must come out of it.
pub(crate) async fn replayed(twofold: &Twofold) -> Value {
    {
        let (_log, store) = open(&twofold.path("twofold-data"));
        for lane in store.lanes().await.unwrap() {
            store.remove(lane).await.unwrap();
        }
    }
    let forgotten = twofold.json(&["status"]);
    let lanes = forgotten["lanes"].as_array().unwrap();
    assert!(lanes.iter().all(|lane| lane["read"] == 0), "starts from nothing: {forgotten}");
    twofold.json(&["update", "--drain"]);
    twofold.json(&["status", "--digest"])
}
