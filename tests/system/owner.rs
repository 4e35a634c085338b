//! One directory, one owner: who else wants something of it asks the owner.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;

use crate::twofold::{Running, Twofold, ledger, text};

/// Starts `up`, whose argument is the address; returns when it listens.
pub(crate) fn up(twofold: &Twofold) -> (Running, String) {
    let mut running = twofold.start(&["up", "--listen", "127.0.0.1:0"]);
    let address = running.address().unwrap();
    (running, address)
}

/// The status once every lane has covered the log.
pub(crate) fn caught_up(twofold: &Twofold) -> Value {
    for _ in 0..2000 {
        let status = twofold.json(&["status"]);
        if status["lanes"].as_array().unwrap().iter().all(|lane| lane["lag"] == 0) {
            return status;
        }
    }
    panic!("the updater is stuck");
}

/// Three days of sessions; `from` moves them.
pub(crate) fn sessions(from: u64) -> String {
    let mut text = "SessionId\tItemId\tTime\n".to_owned();
    for session in 0..360 {
        for step in 0..5 {
            let item = (session * 7 + step * (1 + session % 2)) % 40;
            let at = from + session * 720 + step * 20;
            text.push_str(&format!("s{from}-{session}\titem-{item:02}\t{at}.25\n"));
        }
    }
    text
}

fn outputs(twofold: &Twofold) -> Vec<Output> {
    let commands: [&[&str]; 5] = [
        &["status", "--digest", "--json"],
        &["status"],
        &["topics", "list"],
        &["topics", "list", "--json"],
        &["parity", "--json"],
    ];
    commands.into_iter().map(|command| twofold.output(command)).collect()
}

#[test]
fn a_second_owner_is_told_who_has_the_directory() {
    let twofold = Twofold::new();
    let (up, _) = up(&twofold);
    for command in [&["update"][..], &["up", "--listen", "127.0.0.1:0"], &["serve"]] {
        let (code, stderr) = twofold.fails(command);
        assert_eq!(code, 1, "{command:?}: {stderr}");
        assert!(stderr.contains(&format!("process {}", up.0.id())), "{command:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_beside_a_live_service_says_what_it_says_without_one() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", "[ranker]\nepochs_max = 1\n[retriever]\nepochs_max = 1\n");
    let run =
        |arguments: &[&str]| twofold.json(&[&["--config", "twofold.toml"], arguments].concat());
    let (mut up, address) = up(&twofold);
    let file = twofold.file("train.txt", &sessions(1_396_300_000));
    // A relative path, which the owner could understand otherwise.
    let imported = run(&["import", "yoochoose", file.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(imported["appended"], 1800, "{imported}");
    let status = caught_up(&twofold);
    assert_eq!(ledger(&status, "visitor", "applied"), 1800, "{status}");
    assert_eq!(run(&["archive"])["records"], 1800);
    assert_eq!(run(&["archive"])["records"], 0, "a second run adds nothing");
    // These read files only.
    assert_eq!(run(&["backfill"])["events"], 1800);
    let trained = run(&["train"]);
    assert_eq!(run(&["models", "list"])["bundles"][0]["digest"], trained["bundle"]);
    assert_eq!(run(&["check"])["failures"], serde_json::json!([]));
    let later = twofold.file("valid.txt", &sessions(1_396_300_000 + 4 * 86_400));
    let report = run(&["evaluate", "yoochoose", later.to_str().unwrap()]);
    assert_eq!(report["rows"][0]["positions"], 1440, "{report}");

    let mut recommender = RecommenderClient::connect(format!("http://{address}")).await.unwrap();
    let mut visitor = 0;
    while visitor < 20 {
        let request = v1::RecommendRequest {
            surface: "home".to_owned(),
            visitor_id: format!("s1396300000-{visitor}"),
            k: 5,
            ..v1::RecommendRequest::default()
        };
        match recommender.recommend(request).await {
            Ok(_) => visitor += 1,
            // What the night made is looked for each second.
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
        }
    }
    drop(recommender);
    // `served` is written behind the answers.
    for _ in 0..2000 {
        if twofold.json(&["parity"])["realms"]["live"]["responses"] == 20 {
            break;
        }
    }
    let through = outputs(&twofold);
    up.terminate();
    assert!(!twofold.path("twofold-data/admin.sock").exists(), "gone with its owner");
    for (through, direct) in through.iter().zip(outputs(&twofold)) {
        assert!(through.status.success(), "{}", text(&through.stderr));
        assert!(direct.status.success(), "{}", text(&direct.stderr));
        assert_eq!(text(&through.stdout), text(&direct.stdout));
    }
    let parity: Value = serde_json::from_slice(&through[4].stdout).unwrap();
    assert_eq!(parity["realms"]["live"]["responses"], 20, "{parity}");
    assert_eq!(parity["mismatched"], 0, "{parity}");
    assert!(parity["values"].as_u64().unwrap() > 0, "{parity}");
}

#[test]
fn serve_and_update_answer_too_and_only_their_own_user() {
    let twofold = Twofold::new();
    for role in [&["serve", "--listen", "127.0.0.1:0"][..], &["update"]] {
        let mut running = twofold.start(role);
        let socket = twofold.path("twofold-data/admin.sock");
        while !socket.exists() {
            std::thread::yield_now();
        }
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{role:?}");
        assert_eq!(twofold.json(&["status"])["lanes"].as_array().unwrap().len(), 12);
        running.terminate();
        assert!(!socket.exists(), "{role:?}");
    }
}

#[test]
fn a_directory_with_a_long_path_has_its_socket() {
    let twofold = Twofold::new();
    let long = "d".repeat(150);
    let _update = twofold.start(&["--data", &long, "update"]);
    while !twofold.path(&long).join("admin.sock").exists() {
        std::thread::yield_now();
    }
    twofold.json(&["--data", &long, "status"]);
}
