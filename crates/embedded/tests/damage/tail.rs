//! What a crash or a power failure leaves: of what was not synced, anything.

use std::path::Path;

use embedded::Database;

use crate::sample::{self, Contents, Files};

const JOURNAL: &str = "db/0.jnl";
const SYNCED: u32 = 5;
const WRITTEN: u32 = 9;

/// What is on the disk when the machine stops: the files, where the journal was synced and where it ends.
fn crashed() -> (Files, usize, usize) {
    let root = tempfile::tempdir().unwrap();
    let database = Database::open(root.path()).unwrap();
    for i in 0..SYNCED {
        database.sync(sample::write(&database, i)).unwrap();
    }
    let synced = sample::end(root.path());
    for i in SYNCED..WRITTEN {
        sample::write(&database, i);
    }
    let end = sample::end(root.path());
    let mut files = sample::read(root.path());
    files.get_mut(Path::new(JOURNAL)).unwrap().truncate(end + 100);
    (files, synced, end)
}

/// What is there when the first batches are.
fn after(batches: u32) -> Contents {
    let root = tempfile::tempdir().unwrap();
    let database = Database::open(root.path()).unwrap();
    for i in 0..batches {
        sample::write(&database, i);
    }
    sample::contents(&database).unwrap()
}

fn opened(files: &Files) -> Contents {
    let root = sample::restored(files);
    let database = Database::open(root.path()).unwrap();
    let contents = sample::contents(&database).unwrap();
    // It goes on from there, and is whole then.
    database.sync(sample::write(&database, 1_000)).unwrap();
    let more = sample::contents(&database).unwrap();
    drop(database);
    assert_eq!(sample::contents(&Database::open(root.path()).unwrap()).unwrap(), more);
    contents
}

#[test]
fn a_torn_end_is_cut_off_and_what_was_synced_is_there() {
    let (files, synced, end) = crashed();
    let path = Path::new(JOURNAL);
    let expected: Vec<_> = (SYNCED..=WRITTEN).map(after).collect();
    let mut seen = vec![0; expected.len()];
    let step = ((end - synced) / 60).max(1);
    for cut in (synced..end).step_by(step).chain([end]) {
        // Nothing came to the disk from there on, or all but a piece.
        for piece in [usize::MAX, 200] {
            let mut files = files.clone();
            let bytes = files.get_mut(path).unwrap();
            let to = cut.saturating_add(piece).min(bytes.len());
            bytes[cut..to].fill(0);
            let contents = opened(&files);
            let batches = expected.iter().position(|expected| *expected == contents);
            seen[batches.unwrap_or_else(|| panic!("{cut}..{to}: {contents:?}"))] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
}

/// The same places, had they been synced.
#[test]
fn the_same_is_refused_when_it_was_synced() {
    let (mut files, _, end) = crashed();
    let root = sample::restored(&files);
    drop(Database::open(root.path()).unwrap());
    files = sample::read(root.path());
    let path = Path::new(JOURNAL);
    for cut in (0..end).step_by((end / 60).max(1)) {
        let mut files = files.clone();
        files.get_mut(path).unwrap().truncate(cut);
        let root = sample::restored(&files);
        let error = Database::open(root.path()).err().expect("cut short").to_string();
        assert!(error.contains("db/0.jnl lacks a batch"), "{cut}: {error}");
        assert_eq!(sample::read(root.path()), files, "{cut}");
    }
}

/// A database whose batches are all in tables, the journal that had them gone and the next one without a batch:
/// its files, from the data directory.
fn all_in_tables() -> (Files, Contents) {
    let root = tempfile::tempdir().unwrap();
    let database = Database::open(root.path()).unwrap();
    // The library begins another journal after 64 MB, and compresses what it can.
    let mut word = 1_u64;
    for i in 0..70_u32 {
        let blob: Vec<u8> = (0..1 << 17)
            .flat_map(|_| {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                word.to_le_bytes()
            })
            .collect();
        let log = database.keyspace("log").unwrap();
        let mut batch = database.batch();
        batch.insert(&log, i.to_be_bytes(), &blob);
        database.write(batch).unwrap();
    }
    database.sync(sample::write(&database, 1)).unwrap();
    for name in ["log", "states", "batches"] {
        database.keyspace(name).unwrap().rotate_memtable_and_wait().unwrap();
    }
    let contents = sample::contents(&database).unwrap();
    drop(database);
    let mut files = sample::read(root.path());
    let last = files.keys().filter(|path| path.extension().is_some_and(|e| e == "jnl")).max();
    let last = last.unwrap().clone();
    files.retain(|path, _| path.extension().is_none_or(|e| e != "jnl") || *path == last);
    (files, contents)
}

#[test]
fn a_journal_without_a_batch_is_whole_when_all_that_was_synced_is_in_tables() {
    let (mut files, expected) = all_in_tables();
    let journal = files.keys().find(|path| path.extension().is_some_and(|e| e == "jnl"));
    let journal = journal.unwrap().clone();
    assert_ne!(journal, Path::new(JOURNAL), "another journal was begun");
    for bytes in [Vec::new(), vec![0; 1 << 20], vec![1, 1, 0, 0, 0, 9, 9]] {
        files.insert(journal.clone(), bytes);
        assert_eq!(opened(&files), expected);
    }
    // The one that has a batch that was synced is refused without it.
    let root = sample::restored(&files);
    let database = Database::open(root.path()).unwrap();
    for i in [2, 3] {
        database.sync(sample::write(&database, i)).unwrap();
    }
    drop(database);
    std::fs::write(root.path().join(&journal), [1, 1, 0, 0, 0, 9, 9]).unwrap();
    let files = sample::read(root.path());
    let error = Database::open(root.path()).err().expect("a batch is gone").to_string();
    assert!(error.contains("lacks a batch"), "{error}");
    assert_eq!(sample::read(root.path()), files);
}
