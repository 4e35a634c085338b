//! What goes wrong between a command and the owner of its directory.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use embedded::Database;
use event_log::EventLog;
use record::{Offset, Partition};
use wire::v1;
use wire::v1::tracker_client::TrackerClient;

use crate::owner::{caught_up, sessions, up};
use crate::twofold::{Twofold, ledger, text};

/// Values of a topic that nobody owns any more.
async fn values(directory: &Path, topic: &str) -> BTreeSet<Vec<u8>> {
    let database = Database::open(directory).unwrap();
    let settings = event_log::Settings {
        clock: Arc::new(|| record::AppendTime(0)),
        entropy: Arc::new(|| [7; 16]),
    };
    let log = event_log::Embedded::open(&database, settings).unwrap();
    let mut values = BTreeSet::new();
    for partition in 0..log.topic(topic).await.unwrap().partitions {
        let mut reader = log.reader(topic, Partition(partition), Offset(0)).await.unwrap();
        loop {
            let records = reader.next(4096, Duration::ZERO).await.unwrap();
            if records.is_empty() {
                break;
            }
            values.extend(records.into_iter().map(|record| record.value));
        }
    }
    values
}

/// The message that a command ends with, and its exit code.
fn end(twofold: &Twofold, arguments: &[&str]) -> (i32, String) {
    let (code, stderr) = twofold.fails(arguments);
    (code, stderr.lines().last().unwrap().to_owned())
}

#[tokio::test]
async fn bad_data_ends_the_same_way_and_leaves_the_same_dead_letters() {
    let (owned, free) = (Twofold::new(), Twofold::new());
    let (mut up, _) = up(&owned);
    let lines = ["1,10,100,pv,1511658000", "3,12,100,look,1511658060", "1,10,100,pv,15"];
    let torn = owned.file("torn.csv", &lines.join("\n"));
    let torn = torn.to_str().unwrap();
    let import = |twofold: &Twofold| twofold.output(&["import", "taobao", torn, "--json"]);
    let (through, direct) = (import(&owned), import(&free));
    assert_eq!(text(&through.stdout), text(&direct.stdout));
    assert!(text(&through.stderr).contains("torn.csv line 3: too_early"), "{through:?}");
    caught_up(&owned);
    free.json(&["update", "--drain"]);

    let old = owned.file("old.txt", &sessions(1_396_300_000));
    let missing = owned.path("missing.csv");
    for arguments in [
        &["import", "yoochoose", old.to_str().unwrap()][..],
        &["import", "taobao", missing.to_str().unwrap()],
        &["import", "jsonl", torn, "--source", "clicks"],
    ] {
        assert_eq!(end(&owned, arguments), end(&free, arguments), "{arguments:?}");
    }
    assert_eq!(end(&owned, &["import", "yoochoose", old.to_str().unwrap()]).0, 65);
    // Only the command itself has these.
    let (code, stderr) = owned.fails(&["import", "taobao", "/dev/stdin"]);
    assert_eq!((code, stderr.contains("no regular file")), (64, true), "{stderr}");

    up.terminate();
    for topic in ["dead-letter", "clickstream"] {
        let through = values(&owned.path("twofold-data"), topic).await;
        assert_eq!(through, values(&free.path("twofold-data"), topic).await, "{topic}");
        assert!(!through.is_empty(), "{topic}");
    }
}

#[test]
fn other_definitions_than_the_owners_are_refused() {
    let mut twofold = Twofold::new();
    let (up, _) = up(&twofold);
    let file = "groups/user_activity.toml";
    twofold.change_definition(file, "[group]", "# Another comment.\n[group]");
    twofold.json(&["status"]);
    twofold.change_definition(file, "ttl = \"90d\"", "ttl = \"91d\"");
    let (code, stderr) = twofold.fails(&["status"]);
    assert_eq!(code, 64, "{stderr}");
    let pid = format!("process {}", up.0.id());
    assert!(stderr.contains("definitions") && stderr.contains(&pid), "{stderr}");
}

#[test]
fn a_moved_directory_is_not_taken_for_the_one_that_is_owned() {
    let twofold = Twofold::new();
    let (_up, _) = up(&twofold);
    std::fs::rename(twofold.path("twofold-data"), twofold.path("moved")).unwrap();
    let (code, stderr) = twofold.fails(&["--data", "moved", "archive"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("moved") && stderr.contains("twofold-data"), "{stderr}");
    assert!(!twofold.path("twofold-data").exists(), "nothing was written beside it");
}

#[test]
fn a_killed_owner_leaves_a_socket_that_is_in_nobodys_way() {
    let twofold = Twofold::new();
    let (mut killed, _) = up(&twofold);
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    assert!(twofold.path("twofold-data/admin.sock").exists(), "kill -9 leaves it");
    twofold.json(&["status"]);
    let (mut again, _) = up(&twofold);
    let file = twofold.file("train.txt", &sessions(1_396_300_000));
    twofold.json(&["import", "yoochoose", file.to_str().unwrap()]);
    again.terminate();
}

#[test]
fn an_import_whose_client_is_killed_ends_all_the_same() {
    let twofold = Twofold::new();
    let (mut up, _) = up(&twofold);
    let events: String = (0..150_000)
        .map(|n| format!("{},{},1,pv,{}\n", n % 5000, n % 300, 1_511_658_000 + n / 10))
        .collect();
    let file = twofold.file("big.csv", &events);
    let arguments = ["import", "taobao", file.to_str().unwrap()];
    let mut client = twofold.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(client.stderr.take().unwrap()).lines();
    let importing = lines.map_while(Result::ok).find(|line| line.contains("importing"));
    client.kill().unwrap();
    assert!(importing.is_some(), "it told how far it was");
    assert_eq!(
        client.wait().unwrap().code(),
        None,
        "killed before its end: else this does not bite"
    );
    // Long commands take turns, so this one sees the end of that one.
    assert_eq!(twofold.json(&["archive"])["records"], 150_000);
    let status = caught_up(&twofold);
    let count = |field: &str| ledger(&status, "visitor", field);
    assert_eq!(count("read"), 150_000, "{status}");
    assert_eq!(
        count("read"),
        count("applied") + count("duplicate") + count("late") + count("dead_lettered"),
        "{status}"
    );
    up.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_while_events_come_in_miss_none_and_double_none() {
    let twofold = Twofold::new();
    let (mut up, address) = up(&twofold);
    let (stop_tracking, stopped) = runtime::shutdown::channel();
    let tracking = tokio::spawn(async move {
        let mut tracker = TrackerClient::connect(format!("http://{address}")).await.unwrap();
        let mut sent = 0_u64;
        while !stopped.requested() {
            let event = |n: u64| {
                let at = 1_700_000_000_000_000 + n * 1000;
                let payload = format!(
                    r#"{{"event_id":"e{n}","event_time":{at},"visitor_id":"v{}","kind":"view","item_id":"i{}"}}"#,
                    n % 37,
                    n % 23
                );
                v1::Event { source: "clickstream".to_owned(), payload: payload.into_bytes() }
            };
            let events = (sent..sent + 50).map(event).collect();
            let answer = tracker.track(v1::TrackRequest { events }).await.unwrap().into_inner();
            let ok = |status: &v1::TrackStatus| status.code() == v1::track_status::Code::Ok;
            assert!(answer.statuses.iter().all(ok), "{answer:?}");
            sent += 50;
        }
        sent
    });
    let twofold = Arc::new(twofold);
    let archive = || {
        let twofold = Arc::clone(&twofold);
        tokio::task::spawn_blocking(move || twofold.json(&["archive"])["records"].as_u64().unwrap())
    };
    let (mut archived, mut grew) = (0, 0);
    while grew < 5 {
        // Two at once: they take turns.
        let (first, second) = (archive(), archive());
        let records = first.await.unwrap() + second.await.unwrap();
        grew += u32::from(records > 0);
        archived += records;
    }
    stop_tracking.shut_down();
    let sent = tracking.await.unwrap();
    archived += archive().await.unwrap();
    assert_eq!(archived, sent);
    let status = caught_up(&twofold);
    assert_eq!(ledger(&status, "visitor", "applied"), sent, "{status}");
    assert_eq!(twofold.json(&["backfill"])["events"], sent, "the files join");
    up.terminate();
}
