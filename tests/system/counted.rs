//! What is left out, degraded or refused is shown: an evaluation's in its report, a service's at its end.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};

use runtime::clock::Clock;
use serde_json::Value;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::trained::{trained, with};
use crate::twofold::{Twofold, text};

#[test]
fn an_evaluation_counts_unknown_targets_and_lines_that_are_no_events() {
    let (twofold, _) = trained();
    let from_us = Clock::system().now().0;
    let mut text = String::new();
    let items = ["item-01", "item-02", "unheard-of", "item-03", "item-04"];
    for (step, item) in items.iter().enumerate() {
        writeln!(
            text,
            r#"{{"event_id":"h{step}","event_time":{},"visitor_id":"h","kind":"view","item_id":"{item}"}}"#,
            from_us + step as i64 * 1_000_000
        )
        .unwrap();
    }
    text.push_str("{\"event_id\":\"torn");
    let file = twofold.file("held-out.jsonl", &text);
    let report = twofold.json(&with(&["evaluate", "jsonl", file.to_str().unwrap()]));
    assert_eq!(report["unknown_targets"], 1, "{report}");
    assert_eq!(report["dead_lettered"], 1, "{report}");
    assert_eq!(report["rows"][0]["positions"], 3, "{report}");
}

#[test]
fn an_evaluation_of_nothing_fails_and_leaves_the_records_of_the_last_one() {
    let (twofold, _) = trained();
    let from_us = Clock::system().now().0;
    let event = |step: i64, item: &str| {
        let at = from_us + step * 1_000_000;
        format!(
            r#"{{"event_id":"n{step}","event_time":{at},"visitor_id":"n","kind":"view","item_id":"{item}"}}"#
        )
    };
    let file = |name: &str, items: [&str; 2]| {
        let lines: Vec<String> =
            items.iter().zip(0..).map(|(item, step)| event(step, item)).collect();
        twofold.file(name, &lines.join("\n")).to_str().unwrap().to_owned()
    };
    let known = file("known.jsonl", ["item-01", "item-02"]);
    twofold.json(&with(&["evaluate", "jsonl", &known]));
    let responses = || twofold.json(&with(&["parity"]))["responses"].clone();
    let before = responses();
    let unknown = file("unknown.jsonl", ["item-01", "unheard-of"]);
    let (code, said) = twofold.fails(&with(&["evaluate", "jsonl", &unknown]));
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("nothing to evaluate: none of 1 targets"), "{said}");
    assert_eq!(responses(), before);
}

#[test]
fn what_a_lane_did_not_take_is_said_by_who_drains() {
    let twofold = Twofold::new();
    let at = 1_700_000_000_000_000_i64;
    // The visitors' lane takes it, the items' does not: its key may not be empty.
    let line = format!(
        r#"{{"event_id":"a","event_time":{at},"visitor_id":"v","kind":"view","item_id":""}}"#
    );
    let file = twofold.file("events.jsonl", &line);
    twofold.output(&["import", "jsonl", file.to_str().unwrap()]);
    let said = text(&twofold.output(&["update", "--drain"]).stdout);
    assert!(said.contains("not taken, counted in each lane: 0 late, 1 dead letters"), "{said}");
}

#[test]
fn a_back_fill_counts_what_it_leaves_out_and_takes_away_what_a_killed_one_spilled() {
    let mut twofold = Twofold::new();
    let optional = "item_id = { type = \"string\", optional = true }";
    twofold.change_definition("sources/clickstream.toml", "item_id = \"string\"", optional);
    // No group is keyed by the item, and no model reads one.
    for file in ["groups/item_popularity.toml", "models/ranker.toml"] {
        std::fs::remove_file(twofold.path("definitions").join(file)).unwrap();
    }
    let event = |id: &str, minute: i64, item: &str| {
        let at = 1_700_000_000_000_000 + minute * 60_000_000;
        format!(r#"{{"event_id":"{id}","event_time":{at},"visitor_id":"v","kind":"view"{item}}}"#)
    };
    let lines = [
        event("a", 0, r#","item_id":"x""#),
        event("b", 1, r#","item_id":"y""#),
        event("b", 1, r#","item_id":"y""#),
        event("c", 2, ""),
    ];
    let file = twofold.file("events.jsonl", &lines.join("\n"));
    twofold.json(&["import", "jsonl", file.to_str().unwrap()]);
    twofold.json(&["archive"]);
    let tmp = twofold.path("twofold-data/tmp");
    std::fs::create_dir_all(tmp.join("spill-1-0/datafusion-x")).unwrap();
    let report = twofold.json(&["backfill"]);
    let ledger = serde_json::json!({ "applied": 3, "duplicate": 1, "late": 0, "dead_lettered": 0 });
    assert_eq!(report["ledger"], ledger, "{report}");
    assert_eq!((&report["events"], &report["without_item"]), (&2.into(), &1.into()), "{report}");
    let left: Vec<_> = std::fs::read_dir(tmp).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["spill.lock"]);
    let said = text(&twofold.output(&["backfill"]).stdout);
    assert!(said.contains("of 4 records left out: 1 duplicate"), "{said}");
    assert!(said.contains("1 without an item"), "{said}");
}

#[test]
fn a_training_counts_the_positions_that_it_leaves_out() {
    let (twofold, _) = trained();
    let mut command = twofold.command(&with(&["train", "--json"]));
    let output = command.env("TWOFOLD_RETRIEVER_POSITIONS_MAX", "50").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fits = report["retriever"].as_array().unwrap();
    assert_eq!(fits.len(), 2, "{report}");
    for fit in fits {
        let count = |name: &str| fit[name].as_u64().unwrap();
        assert_eq!(count("positions") + count("validated"), 50, "{report}");
        assert!(count("left_out") > 0, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_ends_with_what_it_counted() {
    let (twofold, _) = trained();
    let mut up = twofold.start(&with(&["--json", "up", "--listen", "127.0.0.1:0"]));
    let mut lines = BufReader::new(up.0.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let address = format!("http://{}", said["listening"].as_str().unwrap());
    let mut recommender = RecommenderClient::connect(address.clone()).await.unwrap();
    let request = v1::RecommendRequest {
        surface: "home".to_owned(),
        visitor_id: "ann".to_owned(),
        user_id: "anna".to_owned(),
        ..Default::default()
    };
    recommender.recommend(request.clone()).await.unwrap();
    let wrong = v1::RecommendRequest { k: 5_000, ..request };
    recommender.recommend(wrong).await.unwrap_err();
    let mut tracker = TrackerClient::connect(address).await.unwrap();
    let torn = v1::Event { source: "clickstream".to_owned(), payload: b"{torn".to_vec() };
    tracker.track(v1::TrackRequest { events: vec![torn] }).await.unwrap();
    drop((recommender, tracker));
    up.terminate();

    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    let service = &last["service"];
    assert_eq!((&service["invalid"], &service["track_invalid"]), (&1.into(), &1.into()), "{last}");
    assert_eq!(service["served_written"], 1, "{last}");
    assert_eq!(service["degradations"]["identity: identity_unmerged"], 1, "{last}");
    assert!(last["item_table"]["versions"].as_u64().unwrap() > 0, "{last}");
    assert_eq!(last["updater"]["retries"], 0, "{last}");
    assert_eq!(last["bundle_refused"], Value::Null, "{last}");
}
