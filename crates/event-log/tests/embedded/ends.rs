//! A log that holds less than it once did is not taken for a smaller one.

use std::fs;
use std::path::Path;

use embedded::{Database, Options, SyncMode};
use event_log::{Embedded, Error, EventLog, NewRecord};

use crate::harness::{open, settings};

async fn append(log: &Embedded, records: usize) {
    let record = |n: usize| NewRecord { key: vec![n as u8], value: vec![7; 100], trace: None };
    for outcome in log.append("t", (0..records).map(record).collect()).await.unwrap() {
        outcome.unwrap();
    }
}

async fn filled(directory: &Path, records: usize) {
    let log = open(directory, Options::default());
    log.create("t", 2).await.unwrap();
    append(&log, records).await;
}

/// The database's own note says the same as the log's, and first: now it says what that of an empty one does.
fn forget_synced(directory: &Path) {
    let empty = tempfile::tempdir().unwrap();
    drop(Database::open(empty.path()).unwrap());
    fs::copy(empty.path().join("db/synced"), directory.join("db/synced")).unwrap();
}

fn refused(directory: &Path) -> Option<String> {
    let database = Database::open(directory).unwrap();
    match Embedded::open(&database, settings()) {
        Ok(_) => None,
        Err(error) => {
            assert!(matches!(error, Error::Lost { .. }), "{error}");
            Some(error.to_string())
        }
    }
}

#[tokio::test]
async fn a_journal_that_was_cut_short_is_refused_until_what_is_gone_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 100).await;
    assert_eq!(refused(directory.path()), None, "it is whole");
    let journal = directory.path().join("db/0.jnl");
    let file = fs::File::options().write(true).open(&journal).unwrap();
    forget_synced(directory.path());
    // The topic is in what is left, some records are not.
    file.set_len(4_000).unwrap();
    for _ in 0..2 {
        let error = refused(directory.path()).expect("cut short");
        assert!(error.contains("topic t partition 0 ends at 0, not at"), "{error}");
    }
    forget_synced(directory.path());
    file.set_len(0).unwrap();
    let error = refused(directory.path()).expect("empty");
    assert!(error.contains("topic t is not there") && error.contains("log-ends.txt"), "{error}");
    fs::remove_file(directory.path().join("log-ends.txt")).unwrap();
    assert_eq!(refused(directory.path()), None);
}

#[tokio::test]
async fn an_older_copy_or_another_database_is_refused() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(ours.path(), 10).await;
    let copy = other.path().join("db");
    fs::create_dir(&copy).unwrap();
    fs::copy(ours.path().join("db/0.jnl"), copy.join("0.jnl")).unwrap();
    append(&open(ours.path(), Options::default()), 10).await;
    fs::copy(copy.join("0.jnl"), ours.path().join("db/0.jnl")).unwrap();
    forget_synced(ours.path());
    let error = refused(ours.path()).expect("older");
    assert!(error.contains("ends at"), "{error}");
    fs::remove_dir_all(ours.path().join("db")).unwrap();
    let error = refused(ours.path()).expect("made anew");
    assert!(error.contains("topic t is not there"), "{error}");
}

/// What a crash leaves is a lower bound only; what was deleted on purpose is not missed.
#[tokio::test]
async fn growth_and_deletions_are_no_loss() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 10).await;
    let noted = fs::read(directory.path().join("log-ends.txt")).unwrap();
    append(&open(directory.path(), Options::default()), 10).await;
    assert_ne!(fs::read(directory.path().join("log-ends.txt")).unwrap(), noted);
    fs::write(directory.path().join("log-ends.txt"), &noted).unwrap();
    assert_eq!(refused(directory.path()), None, "it has grown since");
    let log = open(directory.path(), Options::default());
    log.delete("t").await.unwrap();
    let noted = fs::read(directory.path().join("log-ends.txt")).unwrap();
    drop(log);
    fs::write(directory.path().join("log-ends.txt"), noted).unwrap();
    assert_eq!(refused(directory.path()), None, "deleted on purpose, then a crash");
}

/// The clock of these tests jumps, so that seconds pass.
#[tokio::test]
async fn the_end_is_noted_while_records_come_in() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Options::default());
    log.create("t", 2).await.unwrap();
    let noted = directory.path().join("log-ends.txt");
    assert!(!noted.exists(), "nothing was there when it was opened");
    for _ in 0..10 {
        append(&log, 2).await;
    }
    assert!(fs::read_to_string(&noted).unwrap().contains("\nt "), "before it is closed");
    drop(log);
}

#[tokio::test]
async fn a_private_realm_notes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sync: SyncMode::Never, ..Options::default() };
    drop(open(directory.path(), options));
    assert!(!directory.path().join("log-ends.txt").exists());
}
