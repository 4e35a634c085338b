//! Dead letters are shown, and sent again once when the definitions take them.

use std::fmt::Write as _;

use crate::fresh::assert_accounted;
use crate::twofold::{Twofold, ledger};

const EVENTS: u64 = 20;
/// Events whose category is longer than a map's key may be.
const LONG: u64 = 3;

fn events() -> String {
    let long = "c".repeat(300);
    let mut text = String::new();
    for event in 0..EVENTS {
        let category = if event < LONG { long.as_str() } else { "shoes" };
        writeln!(
            text,
            r#"{{"event_id":"e{event}","event_time":{},"visitor_id":"v{}","kind":"view","item_id":"i{event}","category":"{category}"}}"#,
            1_700_000_000_000_000_u64 + event * 1_000_000,
            event % 5
        )
        .unwrap();
    }
    text + "{\"event_id\":\"torn"
}

#[test]
fn letters_are_listed_by_reason_and_sent_again_once() {
    let mut twofold = Twofold::new();
    let file = twofold.file("events.jsonl", &events());
    twofold.json(&["import", "jsonl", file.to_str().unwrap()]);
    twofold.json(&["update", "--drain"]);
    let listed = twofold.json(&["dead-letters", "list"]);
    assert_eq!(listed["letters"], LONG + 1, "{listed}");
    assert_eq!(listed["reasons"]["out_of_range"], LONG, "{listed}");
    assert_eq!(listed["reasons"]["malformed"], 1, "{listed}");
    assert_eq!(listed["unreadable"], 0, "{listed}");
    let few = twofold.json(&["dead-letters", "list", "--reason", "out_of_range", "--limit", "1"]);
    assert_eq!((&few["letters"], few["shown"].as_array().unwrap().len()), (&LONG.into(), 1));
    let output = twofold.output(&["dead-letters", "list", "--source", "clickstream"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("views_by_category") && text.contains("clickstream/"), "{text}");

    for (flag, wrong, known) in
        [("--reason", "malformd", "malformed"), ("--source", "clicks", "clickstream")]
    {
        let (code, stderr) = twofold.fails(&["dead-letters", "list", flag, wrong]);
        assert_eq!(code, 64, "{stderr}");
        assert!(stderr.contains(wrong) && stderr.contains(known), "{stderr}");
    }

    // Nothing was mended, so nothing is sent.
    let idle = twofold.json(&["dead-letters", "redrive"]);
    assert_eq!(idle["redriven"], 0, "{idle}");
    assert_eq!(idle["skipped"]["still_refused"], LONG, "{idle}");
    assert_eq!(idle["skipped"]["import_line"], 1, "{idle}");

    twofold.change_definition(
        "groups/user_activity.toml",
        "by = \"category\"",
        "by = \"substr(category, 1, 40)\"",
    );
    let sent = twofold.json(&["dead-letters", "redrive", "--reason", "out_of_range"]);
    assert_eq!(sent["redriven"], LONG, "{sent}");
    let again = twofold.json(&["dead-letters", "redrive"]);
    assert_eq!(again["redriven"], 0, "{again}");
    assert_eq!(again["skipped"]["redriven_before"], LONG, "{again}");
    for told in [&idle, &sent, &again] {
        let skipped = told["skipped"].as_object().unwrap().values();
        let skipped: u64 = skipped.map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(told["letters"], told["redriven"].as_u64().unwrap() + skipped, "{told}");
    }

    // The new lane took the originals at their own places, so what was sent again is a copy.
    twofold.json(&["update", "--drain"]);
    let status = twofold.json(&["status"]);
    assert_accounted(&status, "after a redrive");
    let of = |field| ledger(&status, "visitor", field);
    assert_eq!((of("applied"), of("duplicate"), of("dead_lettered")), (EVENTS, LONG, 0));
}
