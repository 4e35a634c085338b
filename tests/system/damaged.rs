//! Files that are gone or damaged: a command says so and ends with 65, it does not go on with less.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;

use crate::trained::{trained, with};
use crate::twofold::Twofold;

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, extension)),
            false if path.extension().is_some_and(|e| e == extension) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn fails_with_65(twofold: &Twofold, command: &[&str], expected: &[&str]) {
    let (code, stderr) = twofold.fails(&with(command));
    assert_eq!(code, 65, "{command:?}: {stderr}");
    let last = stderr.lines().last().unwrap();
    for expected in expected {
        assert!(last.contains(expected), "{command:?}: {expected}: {stderr}");
    }
}

#[test]
fn a_database_that_is_gone_as_a_whole_is_not_made_anew() {
    let twofold = Twofold::new();
    let train = twofold.file("train.txt", &crate::night::sessions(0..1, false));
    twofold.json(&["import", "yoochoose", train.to_str().unwrap()]);
    std::fs::remove_dir_all(twofold.path("twofold-data/db")).unwrap();
    for command in [&["status"][..], &["update", "--drain"], &["status"]] {
        let (code, stderr) = twofold.fails(command);
        assert_eq!(code, 65, "{stderr}");
        assert!(stderr.contains("`db` is not there"), "{stderr}");
        assert!(!twofold.path("twofold-data/db").exists(), "{command:?}");
    }
}

#[test]
fn an_archive_that_lacks_its_last_file_is_not_taken_for_a_shorter_one() {
    let (twofold, _) = trained();
    let archived = files(&twofold.path("twofold-data/archive/clickstream"), "parquet");
    let last = archived.last().unwrap();
    let name = last.file_name().unwrap().to_str().unwrap();
    std::fs::remove_file(last).unwrap();
    for command in ["backfill", "train"] {
        fails_with_65(&twofold, &[command], &[name, "twofold archive"]);
    }
    twofold.json(&with(&["archive"]));
    twofold.json(&with(&["backfill"]));
    // Gone with its summary, nothing in the archive tells of it; the indexes do.
    std::fs::remove_file(last).unwrap();
    std::fs::remove_file(last.with_extension("json")).unwrap();
    fails_with_65(&twofold, &["backfill"], &["clickstream", "twofold archive"]);
    twofold.json(&with(&["archive"]));
    twofold.json(&with(&["backfill"]));
}

#[test]
fn a_log_that_has_lost_what_was_archived_is_not_gone_on_with() {
    let (twofold, _) = trained();
    let db = twofold.path("twofold-data/db");
    std::fs::rename(&db, twofold.path("away")).unwrap();
    let (code, stderr) = twofold.fails(&["status"]);
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("archive") && stderr.contains("Restore"), "{stderr}");
    for command in [&["update", "--drain"][..], &["up", "--listen", "127.0.0.1:0"], &["parity"]] {
        fails_with_65(&twofold, command, &["archive", "Restore"]);
        assert!(!db.exists(), "{command:?} makes no other log in its place");
    }
    std::fs::rename(twofold.path("away"), &db).unwrap();
    twofold.json(&with(&["status"]));
    // A journal whose end is gone is what a torn write leaves, but for what the archive knows, and the database,
    // if it is not an older copy.
    let empty = tempfile::tempdir().unwrap();
    drop(embedded::Database::open(empty.path()).unwrap());
    std::fs::copy(empty.path().join("db/synced"), db.join("synced")).unwrap();
    let journal = files(&db, "jnl");
    let journal = journal.iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let file = std::fs::File::options().write(true).open(journal).unwrap();
    file.set_len(file.metadata().unwrap().len() / 20).unwrap();
    for command in [&["status"][..], &["update", "--drain"], &["archive"]] {
        let (code, stderr) = twofold.fails(&with(command));
        assert_eq!(code, 65, "{command:?}: {stderr}");
        assert!(stderr.contains("clickstream"), "{command:?}: {stderr}");
    }
}

#[test]
fn a_database_without_its_files_is_named_and_not_made_anew() {
    let whole = Twofold::new();
    let file = whole.file("shop.csv", "1,10,100,pv,1511658000\n2,10,100,pv,1511658060\n");
    whole.json(&["import", "taobao", file.to_str().unwrap()]);
    whole.json(&["update", "--drain"]);
    type Damage = (fn(&Path), &'static [&'static str]);
    let damages: [Damage; 11] = [
        (|db| std::fs::write(db.join("0.jnl"), "").unwrap(), &["0.jnl lacks a batch", "restore"]),
        (|db| std::fs::remove_file(db.join("0.jnl")).unwrap(), &["no journal", "restore"]),
        (|db| std::fs::remove_file(db.join("version")).unwrap(), &["version", "restore"]),
        (|db| std::fs::write(db.join("version"), "").unwrap(), &["version", "restore"]),
        (|db| std::fs::write(db.join("version"), b"FJL\x02").unwrap(), &["version", "restore"]),
        (
            |db| std::fs::remove_file(db.join("synced")).unwrap(),
            &["db/synced is not there", "restore"],
        ),
        (
            |db| std::fs::remove_file(db.join("keyspaces.txt")).unwrap(),
            &["db/keyspaces.txt is not there", "restore"],
        ),
        (
            |db| std::fs::remove_dir_all(db.join("keyspaces/5")).unwrap(),
            &["db/keyspaces/5 is no directory, or not there", "restore"],
        ),
        (
            |db| std::fs::remove_file(db.join("keyspaces/5/current")).unwrap(),
            &["db/keyspaces/5/current is not there", "restore"],
        ),
        (
            |db| {
                std::fs::remove_file(db.join("0.jnl")).unwrap();
                std::fs::create_dir(db.join("0.jnl")).unwrap();
            },
            &["0.jnl", "restore"],
        ),
        (|db| std::fs::remove_dir_all(db).unwrap(), &["lost records", "log-ends"]),
    ];
    for (number, (damage, expected)) in damages.into_iter().enumerate() {
        let twofold = whole.copy();
        damage(&twofold.path("twofold-data/db"));
        for command in [&["update", "--drain"][..], &["up", "--listen", "127.0.0.1:0"]] {
            let (code, stderr) = twofold.fails(command);
            assert_eq!(code, 65, "{number}: {stderr}");
            assert!(!stderr.contains("panicked") && !stderr.contains("Error"), "{stderr}");
            assert!(!stderr.contains("fjall"), "{stderr}");
            for expected in expected {
                assert!(stderr.contains(expected), "{number}: {expected}: {stderr}");
            }
        }
    }
}

#[test]
fn a_directory_in_the_admin_sockets_place_is_named() {
    let twofold = Twofold::new();
    twofold.json(&["topics", "create"]);
    std::fs::create_dir(twofold.path("twofold-data/admin.sock")).unwrap();
    let (code, stderr) = twofold.fails(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("admin.sock is in the way") && !stderr.contains("panicked"),
        "{stderr}"
    );
}

#[test]
fn sequences_that_are_not_what_was_written_teach_nothing() {
    let (twofold, _) = trained();
    let sequences = twofold.path("twofold-data/training/sequences.parquet");
    flip(&sequences);
    fails_with_65(&twofold, &["train"], &["sequences.parquet", "twofold backfill"]);
    twofold.json(&with(&["backfill"]));
    twofold.json(&with(&["train"]));
}

#[test]
fn a_pointer_that_is_torn_is_mended_by_publishing() {
    let (twofold, bundle) = trained();
    std::fs::write(twofold.path("twofold-data/models/active.json"), "{").unwrap();
    for command in [&["status"][..], &["models", "list"]] {
        fails_with_65(&twofold, command, &["active.json", "models publish"]);
    }
    twofold.json(&with(&["models", "publish", &bundle]));
    twofold.json(&with(&["status"]));
}

#[test]
fn a_pointer_to_no_bundle_is_told_with_the_list() {
    let (twofold, bundle) = trained();
    let active = twofold.path("twofold-data/models/active.json");
    let other = format!("{}{}", if bundle.starts_with('0') { '1' } else { '0' }, &bundle[1..]);
    let text = std::fs::read_to_string(&active).unwrap().replace(&bundle, &other);
    std::fs::write(&active, text).unwrap();
    let output = twofold.output(&with(&["models", "list", "--json"]));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(65), "{listed}");
    assert_eq!(
        (&listed["active"], listed["bundles"][0]["active"].as_bool()),
        (&other.as_str().into(), Some(false))
    );
    let said = ["active.json", &other, "not in the registry", &bundle, "models publish"];
    for said in said {
        assert!(listed["problem"].as_str().unwrap().contains(said), "{said}: {listed}");
    }
    fails_with_65(&twofold, &["models", "list"], &said);
    let status = twofold.json(&with(&["status"]));
    assert!(status["bundle_problem"].as_str().unwrap().contains("not in the registry"), "{status}");
    twofold.json(&with(&["models", "publish", &bundle]));
    let listed = twofold.json(&with(&["models", "list"]));
    assert_eq!((&listed["active"], &listed["problem"]), (&bundle.as_str().into(), &Value::Null));
}

#[test]
fn a_service_warns_at_its_start_of_what_is_missing() {
    let (twofold, bundle) = trained();
    let mut logs = 0;
    let mut told = |missing: &Path, expected: &[&str]| {
        let aside = twofold.path("aside");
        std::fs::rename(missing, &aside).unwrap();
        logs += 1;
        let log = format!("{logs}.log");
        let mut up = twofold.start_logged(&with(&["up", "--listen", "127.0.0.1:0"]), &log);
        assert!(up.address().is_some());
        up.terminate();
        std::fs::rename(&aside, missing).unwrap();
        let log = std::fs::read_to_string(twofold.path(&log)).unwrap();
        let path = missing.to_str().unwrap().rsplit("twofold-data").next().unwrap();
        let warnings: Vec<&str> =
            log.lines().filter(|line| line.contains("WARN") && line.contains(path)).collect();
        assert_eq!(warnings.len(), 1, "once: {log}");
        for expected in expected {
            assert!(warnings[0].contains(expected), "{expected}: {log}");
        }
    };
    told(
        &twofold.path("twofold-data/models/active.json"),
        &["the registry has bundles", "twofold models publish"],
    );
    let indexes = twofold.path("twofold-data/indexes");
    let latest = std::fs::read(indexes.join("latest.json")).unwrap();
    let latest: Value = serde_json::from_slice(&latest).unwrap();
    told(
        &indexes.join(latest["digest"].as_str().unwrap()).join("indexes.bin"),
        &["latest.json names", "twofold backfill"],
    );
    assert_eq!(twofold.json(&with(&["models", "list"]))["active"], *bundle, "all is back");
}

#[tokio::test]
async fn indexes_that_are_put_back_are_served() {
    let (twofold, _) = trained();
    let (indexes, aside) = (twofold.path("twofold-data/indexes"), twofold.path("aside"));
    let latest = std::fs::read(indexes.join("latest.json")).unwrap();
    let latest: Value = serde_json::from_slice(&latest).unwrap();
    let file = indexes.join(latest["digest"].as_str().unwrap()).join("indexes.bin");
    std::fs::rename(&file, &aside).unwrap();
    let mut up = twofold.start(&with(&["up", "--listen", "127.0.0.1:0"]));
    let address = up.address().unwrap();
    let mut client = RecommenderClient::connect(format!("http://{address}")).await.unwrap();
    let request = v1::RecommendRequest { visitor_id: "v1".to_owned(), ..Default::default() };
    let error = client.recommend(request.clone()).await.unwrap_err();
    assert!(error.message().contains("twofold backfill"), "{error}");
    std::fs::rename(&aside, &file).unwrap();
    let served = async {
        while client.recommend(request.clone()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let served = tokio::time::timeout(std::time::Duration::from_secs(30), served).await;
    assert!(served.is_ok(), "never");
    up.terminate();
}

#[test]
fn a_pipe_in_a_files_place_is_not_waited_for() {
    let (twofold, _) = trained();
    let path = twofold.path("twofold-data/models/active.json");
    std::fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    for command in [&["models", "list"][..], &["status"]] {
        let (_, stderr) = twofold.fails(&with(command));
        assert!(stderr.contains("no regular file"), "{command:?}: {stderr}");
        assert!(stderr.contains("active.json"), "{command:?}: {stderr}");
    }
}

#[test]
fn nothing_to_evaluate_is_no_evaluation() {
    let (twofold, _) = trained();
    let empty = twofold.file("empty.jsonl", "");
    fails_with_65(&twofold, &["evaluate", "jsonl", empty.to_str().unwrap()], &["empty.jsonl"]);
}

#[tokio::test]
async fn parity_does_not_skip_what_is_damaged() {
    let (twofold, bundle) = trained();
    let mut up = twofold.start(&with(&["up", "--listen", "127.0.0.1:0"]));
    let address = up.address().unwrap();
    let mut client = RecommenderClient::connect(format!("http://{address}")).await.unwrap();
    let request = v1::RecommendRequest { visitor_id: "v1".to_owned(), k: 5, ..Default::default() };
    client.recommend(request).await.unwrap();
    up.terminate();
    let compared = twofold.json(&with(&["parity"]));
    assert!(compared["values"].as_u64() > Some(0), "{compared}");

    // There are others beside them: one for each day with labels.
    let indexes = twofold.path("twofold-data/indexes");
    let latest = std::fs::read(indexes.join("latest.json")).unwrap();
    let latest: Value = serde_json::from_slice(&latest).unwrap();
    flip(&indexes.join(latest["digest"].as_str().unwrap()).join("indexes.bin"));
    fails_with_65(&twofold, &["parity"], &["indexes.bin", "twofold backfill"]);
    twofold.json(&with(&["backfill"]));
    let again = twofold.json(&with(&["parity"]));
    assert_eq!(again, compared, "the remedy helps");

    std::fs::write(twofold.path("twofold-data/indexes/latest.json"), "{").unwrap();
    let held_out = twofold
        .file("held-out.txt", "SessionId\tItemId\tTime\n1\t2\t1411000000\n1\t3\t1411000009\n");
    let held_out = held_out.to_str().unwrap();
    fails_with_65(&twofold, &["evaluate", "yoochoose", held_out], &["latest.json"]);
    twofold.json(&with(&["backfill"]));

    let of_bundle = twofold.path("twofold-data/models/bundles").join(&bundle);
    flip(&of_bundle.join("ranker.safetensors"));
    fails_with_65(&twofold, &["parity"], &[&bundle, "restore"]);
    let listed = twofold.json(&with(&["models", "list"]));
    let problem = listed["bundles"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("ranker.safetensors"), "{listed}");
    let status = twofold.json(&with(&["status"]));
    let problem = status["bundle_problem"].as_str().unwrap();
    assert!(problem.contains("ranker.safetensors"), "{status}");
    std::fs::remove_dir_all(&of_bundle).unwrap();
    let skipped = twofold.json(&with(&["parity"]))["skipped"].clone();
    assert_eq!(skipped["bundle_gone"], 1, "{skipped}");
}
