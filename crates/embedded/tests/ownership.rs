//! One owner per directory, whatever the last one died of, and a disk that is full.
//!
//! The test binary starts itself again as the other process.

#![allow(clippy::unwrap_used, reason = "all of it is test code")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use embedded::{Database, Error, Options};

const DIRECTORY: &str = "TWOFOLD_TEST_DIRECTORY";

#[expect(clippy::disallowed_methods, reason = "how the tests below speak to their child")]
fn directory() -> String {
    std::env::var(DIRECTORY).expect("started by the tests below")
}

fn this_binary() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

/// Owns a directory until it is killed.
#[test]
#[ignore = "the process that the tests below start and kill"]
fn owner_child() {
    let options = Options { started_ms: Some(1_700_000_000_000), ..Options::default() };
    let _database = Database::open_with(Path::new(&directory()), options).unwrap();
    println!("\nowns");
    loop {
        std::thread::park();
    }
}

/// Writes until the disk is full, prints what it was told then and afterwards.
#[test]
#[ignore = "the process that a test below starts with a limit on the size of files"]
fn full_disk_child() {
    let database = Database::open(Path::new(&directory())).unwrap();
    let keyspace = database.keyspace("test").unwrap();
    let mut errors = Vec::new();
    for i in 0..10_000u32 {
        let mut batch = database.batch();
        batch.insert(&keyspace, i.to_be_bytes(), noise(i));
        match database.write(batch).and_then(|ticket| database.sync(ticket)) {
            Ok(()) if errors.is_empty() => println!("\nwrote {i}"),
            Ok(()) => println!("\nwrote {i} after a failure"),
            Err(error) => {
                // Known with the first, not with the next that asks.
                println!("\ntakes no more {}", database.is_poisoned());
                errors.push(error.to_string());
            }
        }
        if errors.len() == 3 {
            break;
        }
    }
    println!("\nfirst {}\nsecond {}", errors[0], errors[1]);
}

/// Bytes that no compression makes smaller.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(byte).take(8 << 10).collect()
}

fn start(path: &Path) -> Child {
    let mut child = Command::new(this_binary())
        .args(["--ignored", "--exact", "owner_child", "--nocapture"])
        .env(DIRECTORY, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "owns"), "the child owns it");
    child
}

#[test]
fn a_second_process_is_told_who_the_owner_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start(directory.path());
    let refused = Database::open(directory.path()).err().expect("it is taken");
    let message = refused.to_string();
    match refused {
        Error::Owned { path, owner } => {
            assert_eq!(path, directory.path());
            assert_eq!(owner.pid, Some(child.id()));
            assert_eq!(owner.started_ms, Some(1_700_000_000_000));
        }
        other => panic!("{other}"),
    }
    assert!(message.contains(&format!("process {}", child.id())), "{message}");
    child.kill().unwrap();
    child.wait().unwrap();
    // What the killed one left behind stops nobody.
    let database = Database::open(directory.path()).unwrap();
    let own = Database::open(directory.path()).err().expect("it is taken by this very process");
    assert!(own.to_string().contains(&format!("process {}", std::process::id())), "{own}");
    drop(database);
    drop(Database::open(directory.path()).unwrap());
}

#[test]
fn the_directory_is_owned_until_the_last_clone_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path()).unwrap();
    let clone = database.clone();
    drop(database);
    assert!(matches!(Database::open(directory.path()), Err(Error::Owned { .. })));
    drop(clone);
    assert!(Database::open(directory.path()).is_ok());
}

#[test]
fn a_database_that_a_crash_left_half_created_is_created_again() {
    let directory = tempfile::tempdir().unwrap();
    let half = directory.path().join("db.unfinished");
    std::fs::create_dir_all(half.join("keyspaces")).unwrap();
    std::fs::write(half.join("0.jnl"), b"").unwrap();
    let database = Database::open(directory.path()).unwrap();
    assert!(database.keyspace("test").is_ok());
    assert!(!half.exists());
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Database::open(&file).err().expect("a file is no directory");
    assert!(matches!(error, Error::NoDirectory { .. }), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

/// A limit on the size of files stands for a full disk: the journal cannot grow.
#[test]
fn a_full_disk_is_an_error_with_a_remedy_and_no_more_writes() {
    const LIMIT_BLOCKS: u32 = 4096;
    let directory = tempfile::tempdir().unwrap();
    // Opened twice: the second opening cuts the journal down to what was written.
    drop(Database::open(directory.path()).unwrap());
    drop(Database::open(directory.path()).unwrap());
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; exec '{}' --ignored --exact full_disk_child --nocapture",
            this_binary().display()
        ))
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no line {start:?} in {said}")).to_owned()
    };
    let path = directory.path().display().to_string();
    let (first, second) = (line("first "), line("second "));
    assert!(first.contains(&path) && first.contains("free space"), "{first}");
    assert!(second.contains(&path) && second.contains("start again"), "{second}");
    assert!(!said.contains("after a failure"), "{said}");
    assert_eq!(line("takes no more "), "true", "{said}");
    let acknowledged: u32 = said
        .lines()
        .filter_map(|line| line.strip_prefix("wrote ")?.parse().ok())
        .max()
        .expect("something fitted");
    // With space again: what was acknowledged is there.
    let database = Database::open(directory.path()).unwrap();
    let keyspace = database.keyspace("test").unwrap();
    for i in 0..=acknowledged {
        assert!(keyspace.get(i.to_be_bytes()).unwrap().is_some(), "{i} of {acknowledged}");
    }
}

#[test]
fn nothing_is_cleared_under_an_owners_feet() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    std::fs::create_dir(dir.path().join("archive")).unwrap();
    std::fs::write(dir.path().join("archive/part"), "records").unwrap();
    assert!(matches!(embedded::clear(dir.path()), Err(Error::Owned { .. })));
    assert!(dir.path().join("archive/part").exists());
    drop(database);
    embedded::clear(dir.path()).unwrap();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [dir.path().join("owner.json")]);
    Database::open(dir.path()).unwrap();
}
