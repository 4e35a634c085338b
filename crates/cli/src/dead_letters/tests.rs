//! Letters that cannot be sent again, each for its own reason; all of them are accounted for.

use std::path::Path;
use std::sync::Arc;

use definitions::Definitions;
use event_log::{EventLog, NewRecord};
use record::{AppendTime, LogId};
use serde_json::{Value, json};

use super::{Wanted, redrive};

const TOPIC: &str = "dead-letter";
const NOW: AppendTime = AppendTime(1_700_000_100_000);

async fn log(definitions: &Definitions, root: &Path) -> event_log::Embedded {
    let database = embedded::Database::open(root).unwrap();
    let (clock, ids) = (Arc::new(|| NOW), std::sync::atomic::AtomicU8::new(1));
    let entropy = Arc::new(move || [ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 16]);
    let settings = event_log::Settings { clock, entropy };
    let log = event_log::Embedded::open(&database, settings).unwrap();
    for source in &definitions.sources {
        log.create(&source.topic, 1).await.unwrap();
    }
    log.create(TOPIC, 1).await.unwrap();
    log
}

/// A letter of a view that every lane takes today.
fn letter(n: u64, log: LogId) -> Value {
    let value = json!({
        "event_id": format!("e{n}"), "event_time": 1_700_000_000_000_000_u64, "visitor_id": "v1",
        "kind": "view", "item_id": "i1",
    });
    json!({
        "id": format!("00/0/{n}"), "source": "clickstream", "entity": "visitor",
        "topic": "clickstream", "log": log.to_string(), "partition": 0, "offset": n,
        "append_time_ms": 1_700_000_000_000_u64, "reason": "malformed", "detail": "",
        "key": { "text": "v1" }, "value": { "text": value.to_string() },
    })
}

#[tokio::test]
async fn a_letter_that_cannot_be_sent_again_is_counted_under_its_reason() {
    let definitions =
        crate::definition_files::load(Path::new(crate::settings::DEFINITIONS)).unwrap();
    let root = tempfile::tempdir().unwrap();
    let log = log(&definitions, root.path()).await;
    let here = log.topic("clickstream").await.unwrap().log;
    let mut letters = vec![letter(1, here)];
    let mut add = |n, change: &dyn Fn(&mut Value)| {
        let mut changed = letter(n, here);
        change(&mut changed);
        letters.push(changed);
    };
    // The topic was deleted and made again, so offset 2 is another record's place now.
    add(2, &|letter| letter["log"] = LogId([9; 16]).to_string().into());
    add(3, &|letter| letter["source"] = "clicks".into());
    add(4, &|letter| letter["value"] = json!({ "left_out": { "bytes": 70_000 } }));
    add(5, &|letter| letter["value"] = json!({ "text": "{" }));
    // The item lane's letter of the record that the visitor lane refused, too.
    add(1, &|letter| {
        letter["id"] = "01/0/1".into();
        letter["entity"] = "item".into();
    });
    letters.push(json!({
        "id": "ab:3", "file": "a.csv", "line": 3, "reason": "malformed", "detail": "", "original": "1",
    }));
    letters.push(json!("no letter"));
    let records = letters.iter().map(|letter| NewRecord {
        key: Vec::new(),
        value: letter.to_string().into_bytes(),
        trace: None,
    });
    for outcome in log.append(TOPIC, records.collect()).await.unwrap() {
        outcome.unwrap();
    }
    let wanted = Wanted::default();
    let done = redrive(&log, TOPIC, &definitions, &wanted, NOW).await.unwrap();
    let skipped = ["import_line", "log_gone", "no_such_source", "original_gone", "same_record"];
    let mut expected: Vec<(&str, u64)> = skipped.map(|reason| (reason, 1)).to_vec();
    expected.push(("still_refused", 1));
    assert_eq!(done.skipped.iter().map(|(r, n)| (*r, *n)).collect::<Vec<_>>(), expected);
    assert_eq!((done.redriven, done.letters), (1, 7), "the sum of all");
    assert_eq!(log.bounds("clickstream").await.unwrap()[0].next.0, 1);
}
