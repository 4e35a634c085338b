//! From a file to a bundle that is evaluated; and the demo.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::twofold::Twofold;

/// Sessions of three days over 40 items, where item i is followed by i + 1 or i + 2; `days` picks them.
pub(crate) fn sessions(days: std::ops::Range<u64>, reversed: bool) -> String {
    let mut blocks = Vec::new();
    for day in days {
        for session in 0..120_u64 {
            let mut text = String::new();
            for step in 0..5 {
                let item = (session * 7 + step * (1 + session % 2)) % 40;
                let at = 1_396_300_000 + day * 86_400 + session * 300 + step * 20;
                writeln!(text, "{day}{session:04}\titem-{item:02}\t{at}.25").unwrap();
            }
            blocks.push(text);
        }
    }
    if reversed {
        blocks.reverse();
    }
    format!("SessionId\tItemId\tTime\n{}", blocks.concat())
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

#[test]
fn import_update_archive_backfill_train_evaluate() {
    let twofold = Twofold::new();
    twofold.file(
        "twofold.toml",
        "[ranker]\nepochs_max = 2\n[retriever]\nepochs_max = 2\ndimension = 16\n",
    );
    let run =
        |arguments: &[&str]| twofold.json(&[&["--config", "twofold.toml"], arguments].concat());
    let train = twofold.file("train.txt", &sessions(0..3, false));
    run(&["import", "yoochoose", train.to_str().unwrap()]);
    run(&["update", "--drain"]);
    let archived = run(&["archive"]);
    assert_eq!(archived["records"], 1800, "{archived}");
    assert_eq!(run(&["archive"])["records"], 0, "a second run adds nothing");
    let filled = run(&["backfill"]);
    assert_eq!((&filled["events"], &filled["items"]), (&1800.into(), &40.into()), "{filled}");
    assert_eq!(run(&["backfill"])["indexes"], filled["indexes"], "the same input, the same index");
    let trained = run(&["train"]);
    assert!(trained["positions"].as_u64().unwrap() > 100, "{trained}");
    let bundles = run(&["models", "list"]);
    assert_eq!(bundles["bundles"][0]["digest"], trained["bundle"], "{bundles}");

    assert_eq!(run(&["parity"])["values"], 0, "nobody was served yet");
    let before = run(&["status", "--digest"]);
    let valid = twofold.file("valid.txt", &sessions(3..4, false));
    let report = run(&["evaluate", "yoochoose", valid.to_str().unwrap()]);
    assert_eq!(row(&report, "twofold")["positions"], 480, "{report}");
    assert!(row(&report, "twofold")["hr"].as_f64().unwrap() > 0.9, "{report}");
    assert!(row(&report, "sr")["hr"].as_f64().unwrap() > 0.9, "{report}");
    let recall = report["recall_at_pool"].as_f64().unwrap();
    assert!(recall >= row(&report, "twofold")["hr"].as_f64().unwrap(), "{report}");

    let (code, stderr) = twofold.fails(&[
        "--config",
        "twofold.toml",
        "evaluate",
        "yoochoose",
        train.to_str().unwrap(),
    ]);
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("know already"), "{stderr}");

    let reversed = twofold.file("reversed.txt", &sessions(3..4, true));
    let again = run(&["evaluate", "yoochoose", reversed.to_str().unwrap()]);
    assert_eq!(report, again, "the order of the sessions in the file changes nothing");
    assert_eq!(before, run(&["status", "--digest"]), "the live realm is as it was");

    // Every answer behind the figures is on record and can be computed again from log and archive.
    let parity = run(&["parity"]);
    let of_evaluation = &parity["realms"]["evaluation"];
    assert_eq!(of_evaluation["responses"], 480, "{parity}");
    assert!(parity["values"].as_u64().unwrap() > 100_000, "{parity}");
    assert_eq!((&parity["mismatched"], &parity["skipped"]), (&0.into(), &json!({})), "{parity}");

    // Artefacts are all that it reads: an owner of the directory is not in the way.
    let mut up = twofold.start(&["--config", "twofold.toml", "up", "--listen", "127.0.0.1:0"]);
    up.address().expect("it listens");
    let beside = run(&["evaluate", "yoochoose", valid.to_str().unwrap()]);
    drop(up);
    assert_eq!(report, beside, "the same beside a live service");
}

#[test]
fn the_demo_ends_with_parity_and_another_list() {
    let twofold = Twofold::new();
    let report = twofold.json(&["--data", "shop", "demo", "--seed", "3"]);
    assert_eq!(report["parity"]["mismatched"], 0, "{report}");
    assert!(report["parity"]["values"].as_u64().unwrap() > 1000, "{report}");
    assert_ne!(report["before"], report["after"]);
    assert_eq!(report["burst"]["failed"], 0, "{report}");
    for lane in report["lanes"].as_array().unwrap() {
        let count = |name: &str| lane[name].as_u64().unwrap();
        let judged = count("applied") + count("duplicate") + count("late") + count("dead_lettered");
        assert_eq!(count("read"), judged, "{lane}");
        assert_eq!(count("lag"), 0, "{lane}");
    }
    let (code, stderr) = twofold.fails(&["--data", "shop", "demo"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("--fresh"), "{stderr}");
    let parity = twofold.json(&["--data", "shop", "parity"]);
    assert_eq!(parity["mismatched"], 0, "{parity}");
}
