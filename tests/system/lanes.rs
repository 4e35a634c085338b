//! A changed definition: a new lane, built beside the old one.

use serde_json::Value;

use crate::twofold::{Twofold, text};

const EVENTS: &str = "SessionId\tItemId\tTime\n\
    1\ta\t1396300000.5\n1\tb\t1396300100.5\n2\ta\t1396300200.5\n2\tc\t1396300300.5\n3\tb\t1396300400.5\n";

fn digests(twofold: &Twofold) -> Vec<Value> {
    let status = twofold.json(&["status", "--digest"]);
    let lanes = status["lanes"].as_array().unwrap().iter();
    lanes.map(|lane| lane["digest"].clone()).collect()
}

#[test]
fn a_changed_definition_is_bootstrapped_to_what_a_fresh_start_gives() {
    let mut twofold = Twofold::new();
    let file = twofold.file("events.txt", EVENTS);
    let import = ["import", "yoochoose", file.to_str().unwrap()];
    twofold.json(&import);
    twofold.json(&["update", "--drain"]);
    twofold.json(&["archive"]);
    let before = digests(&twofold);
    let change = |twofold: &mut Twofold| {
        let [was, now] = ["kind = 'view'", "kind = 'cart'"];
        twofold.change_definition("groups/user_activity.toml", was, now);
    };

    change(&mut twofold);
    let built = twofold.json(&["bootstrap"]);
    assert_eq!((&built["caught_up"], &built["records"]), (&true.into(), &5.into()), "{built}");
    assert_eq!(built["lanes"].as_array().unwrap().len(), 1, "the changed lane alone: {built}");
    let status = twofold.json(&["status"]);
    assert_eq!(status["other_lanes"].as_array().unwrap().len(), 1, "the old one stays: {status}");
    assert!(status["lanes"].as_array().unwrap().iter().all(|lane| lane["lag"] == 0), "{status}");
    let after = digests(&twofold);
    assert_ne!(before, after);
    let again = twofold.json(&["bootstrap"]);
    assert_eq!((&again["lanes"], &again["records"]), (&Value::Array(Vec::new()), &0.into()));

    let mut fresh = Twofold::new();
    change(&mut fresh);
    fresh.json(&import);
    fresh.json(&["update", "--drain"]);
    assert_eq!(digests(&fresh), after);
}

#[test]
fn lanes_are_listed_and_removed_by_name() {
    let twofold = Twofold::new();
    let said = |arguments: &[&str]| {
        let output = twofold.output(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let file = twofold.file("events.txt", EVENTS);
    twofold.json(&["import", "yoochoose", file.to_str().unwrap()]);
    assert_eq!(
        said(&["lanes", "list"]),
        "the store has no lanes yet: `twofold update` makes them\n"
    );
    twofold.json(&["update", "--drain"]);
    let listed = said(&["lanes", "list"]);
    let line = listed.lines().find(|line| line.contains("clickstream by visitor")).unwrap();
    let id = line.split(' ').next().unwrap();
    let removed = said(&["lanes", "remove", id]);
    assert!(removed.contains(id) && removed.contains("clickstream by visitor"), "{removed}");
    assert!(!said(&["lanes", "list"]).contains(id));
}
