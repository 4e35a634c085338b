//! What becomes of every line.

use crate::twofold::{Twofold, ledger, text};

#[test]
fn a_torn_last_line_is_a_dead_letter_and_everything_is_counted() {
    let twofold = Twofold::new();
    let lines = [
        "1,10,100,pv,1511658000",
        "2,11,100,buy,1511658060",
        "3,12,100,look,1511658060",
        "1,10,100,pv,15",
    ];
    let file = twofold.file("taobao.csv", &lines.join("\n"));
    let said = twofold.output(&["import", "taobao", file.to_str().unwrap()]);
    let said = text(&said.stderr);
    for (line, expected) in [(3, "look"), (4, "torn")] {
        let named = |said: &str| {
            let parts = ["taobao.csv", &format!("line={line}"), expected];
            parts.iter().all(|part| said.contains(part))
        };
        assert!(said.lines().any(named), "line {line}: {said}");
    }
    let twofold = Twofold::new();
    let file = twofold.file("taobao.csv", &lines.join("\n"));
    let imported = twofold.json(&["import", "taobao", file.to_str().unwrap()]);
    assert_eq!((&imported["records"], &imported["appended"]), (&4.into(), &2.into()), "{imported}");
    assert_eq!(imported["dead_lettered"], 2);
    assert_eq!(imported["reasons"], serde_json::json!({ "too_early": 1, "wrong_type": 1 }));
    twofold.json(&["update", "--drain"]);
    let status = twofold.json(&["status"]);
    for entity in ["visitor", "item"] {
        assert_eq!(ledger(&status, entity, "read"), 2, "{status}");
        assert_eq!(ledger(&status, entity, "applied"), 2, "{status}");
        assert_eq!(ledger(&status, entity, "lag"), 0, "{status}");
    }
}

#[test]
fn files_in_any_order_are_sorted_and_not_late() {
    let twofold = Twofold::new();
    let mut text = "SessionId\tItemId\tTime\n".to_owned();
    for session in 0..40 {
        for step in 0..3 {
            let at = 1_400_000_000 + (40 - session) * 4000 + step * 30;
            text.push_str(&format!("{session}\t{}\t{at}.5\n", 100 + step));
        }
    }
    let file = twofold.file("train.txt", &text);
    let file = file.to_str().unwrap();
    let imported = twofold.json(&["import", "yoochoose", file]);
    assert_eq!((&imported["appended"], &imported["late"]), (&120.into(), &0.into()), "{imported}");
    twofold.json(&["update", "--drain"]);
    let status = twofold.json(&["status"]);
    assert_eq!(ledger(&status, "visitor", "applied"), 120, "{status}");

    // The same file again is nearly all late: refused, and nothing is appended.
    let (code, stderr) = twofold.fails(&["import", "yoochoose", file]);
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("--allow-late"), "{stderr}");
    assert!(stderr.contains("in the log already, there is nothing to do"), "{stderr}");
    assert_eq!(ledger(&twofold.json(&["status"]), "visitor", "lag"), 0);

    // Where it is allowed, admission tells copies and late records from new ones.
    twofold.json(&["import", "yoochoose", file, "--allow-late"]);
    twofold.json(&["update", "--drain"]);
    let status = twofold.json(&["status"]);
    assert_eq!(ledger(&status, "visitor", "applied"), 120, "{status}");
    let (late, duplicate) =
        (ledger(&status, "visitor", "late"), ledger(&status, "visitor", "duplicate"));
    assert_eq!(late + duplicate, 120, "{status}");
}

#[test]
fn a_file_without_one_event_fails_and_says_so_in_a_few_lines() {
    let twofold = Twofold::new();
    let file = twofold.file("shop.csv", &"what is this\n".repeat(300));
    let import = ["import", "taobao", file.to_str().unwrap(), "--json"];
    let refused = |times: u64| {
        let output = twofold.output(&import);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains("nothing was appended") && said.contains("`taobao`"), "{said}");
        assert!(said.contains("295"), "the others are counted: {said}");
        let warned = said.lines().filter(|line| line.contains("malformed")).count();
        assert_eq!(warned, 6, "{said}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["appended"], 0, "{summary}");
        assert_eq!(summary["reasons"], serde_json::json!({ "malformed": 300 }));
        let topics = twofold.json(&["topics", "list"]);
        let topics = topics["topics"].as_array().unwrap();
        let dead = topics.iter().find(|topic| topic["topic"] == "dead-letter").unwrap();
        assert_eq!(dead["records"], 300 * times, "{dead}");
    };
    refused(1);
    let (_up, _) = crate::owner::up(&twofold);
    refused(2);
}

#[test]
fn json_lines_keep_their_bytes_and_name_what_is_wrong() {
    let twofold = Twofold::new();
    let good = r#"{"event_id":"e1","event_time":1700000000000000,"visitor_id":"v","kind":"view","item_id":"i"}"#;
    let bad = r#"{"event_id":"e2","event_time":1700000000000000,"visitor_id":"v","kind":"view"}"#;
    let file = twofold.file("events.jsonl", &format!("{good}\n\n\r\nnot json\n{bad}\n"));
    let imported = twofold.json(&["import", "jsonl", file.to_str().unwrap()]);
    assert_eq!((&imported["appended"], &imported["blank"]), (&1.into(), &2.into()), "{imported}");
    assert_eq!(imported["reasons"]["malformed"], 1, "{imported}");
    assert_eq!(imported["reasons"]["missing_column"], 1, "{imported}");
    let (code, stderr) =
        twofold.fails(&["import", "jsonl", file.to_str().unwrap(), "--source", "clicks"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("clickstream"), "{stderr}");
}
