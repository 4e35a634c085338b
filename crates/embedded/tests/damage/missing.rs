//! Pieces that are gone: each file and each directory below `db`, one at a time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use embedded::Database;

use crate::sample::{self, Contents};

/// All that is below a directory: files with their bytes, directories with nothing.
type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Has no table yet, as a keyspace that was created a moment ago.
const LATE: &str = "late";
/// What is not missed. The library locks a file of its own that is empty, as `owner.json` is locked already, and a
/// keyspace without a table needs no directory for them.
const REDUNDANT: [&str; 2] = ["db/lock", "db/keyspaces/5/tables"];

fn tree(root: &Path) -> Tree {
    let (mut tree, mut folders) = (Tree::new(), vec![root.join("db")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                tree.insert(name, None);
                folders.push(path);
            } else {
                tree.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

fn restored(tree: &Tree) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("db")).unwrap();
    for (path, bytes) in tree {
        match bytes {
            None => fs::create_dir(root.path().join(path)).unwrap(),
            Some(bytes) => fs::write(root.path().join(path), bytes).unwrap(),
        }
    }
    root
}

fn write_late(database: &Database, value: &[u8]) {
    let late = database.keyspace(LATE).unwrap();
    let mut batch = database.batch();
    batch.insert(&late, b"key", value);
    database.sync(database.write(batch).unwrap()).unwrap();
}

fn late(database: &Database) -> Option<Vec<u8>> {
    database.keyspace(LATE).unwrap().get(b"key").unwrap().map(|value| value.to_vec())
}

fn contents(database: &Database) -> (Contents, Option<Vec<u8>>) {
    (sample::contents(database).unwrap(), late(database))
}

/// A database with keyspaces with a table, one without, and more of each in its journal.
fn whole() -> (Tree, (Contents, Option<Vec<u8>>)) {
    let root = tempfile::tempdir().unwrap();
    let database = Database::open(root.path()).unwrap();
    for i in 0..20 {
        sample::write(&database, i);
    }
    for name in ["log", "states", "batches"] {
        database.keyspace(name).unwrap().rotate_memtable_and_wait().unwrap();
    }
    for i in 20..30 {
        sample::write(&database, i);
    }
    write_late(&database, b"written");
    let expected = contents(&database);
    drop(database);
    let mut tree = tree(root.path());
    // Manifests that another one has taken the place of: the library removes them at the next opening.
    let current = |keyspace: &Path| {
        let current = tree.get(&keyspace.join("current"))?.as_ref()?;
        Some(format!("v{}", u64::from_le_bytes(*current.first_chunk().unwrap())))
    };
    let is_old = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with('v') && current(path.parent().unwrap()).is_some_and(|new| new != name)
    };
    let old: Vec<_> = tree.keys().filter(|path| is_old(path)).cloned().collect();
    tree.retain(|path, _| !old.contains(path));
    for number in [0, 2, 3, 4, 5] {
        let tables = PathBuf::from(format!("db/keyspaces/{number}/tables"));
        let has_tables = tree.keys().any(|path| path.parent() == Some(&tables));
        assert_eq!(has_tables, number != 5, "{number}");
    }
    (tree, expected)
}

/// Refused twice, with the same words, and with nothing changed; the words.
fn refused(damaged: &Tree) -> String {
    let root = restored(damaged);
    let refuse = || {
        let error = Database::open(root.path()).err();
        let error = error.unwrap_or_else(|| panic!("it opens without a piece"));
        assert!(error.is_damage(), "{error}");
        assert_eq!(tree(root.path()), *damaged, "{error}");
        error.to_string()
    };
    let error = refuse();
    assert_eq!(refuse(), error);
    error
}

fn without(whole: &Tree, path: &Path) -> Tree {
    let others = whole.iter().filter(|(other, _)| !other.starts_with(path));
    others.map(|(other, bytes)| (other.clone(), bytes.clone())).collect()
}

#[test]
fn each_file_and_directory_is_missed() {
    let (whole, expected) = whole();
    for path in whole.keys() {
        let name = path.to_str().unwrap();
        let damaged = without(&whole, path);
        println!("{name}");
        if REDUNDANT.contains(&name) {
            let root = restored(&damaged);
            for _ in 0..2 {
                assert_eq!(contents(&Database::open(root.path()).unwrap()), expected, "{name}");
            }
            continue;
        }
        let error = refused(&damaged);
        let named = if name.ends_with(".jnl") { "db has no journal" } else { name };
        assert!(error.contains(named), "{name}: {error}");
    }
}

#[test]
fn each_file_that_is_cut_short_is_named() {
    let (whole, _) = whole();
    let mut cut = 0;
    for (path, bytes) in &whole {
        let name = path.to_str().unwrap();
        let Some(bytes) = bytes.as_ref().filter(|bytes| !bytes.is_empty()) else { continue };
        // A journal is as long as its batches at the least.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let end = if name.ends_with(".jnl") { end } else { bytes.len() };
        for length in [0, end / 2, end - 1] {
            let mut damaged = whole.clone();
            damaged.insert(path.clone(), Some(bytes[..length].to_vec()));
            println!("{name} {length}");
            let error = refused(&damaged);
            assert!(error.contains(name), "{name} {length}: {error}");
            cut += 1;
        }
    }
    assert!(cut >= 3 * (4 + 5 * 2 + 4), "{cut}");
}

/// The process was killed between two steps.
#[test]
fn a_keyspace_that_nobody_had_yet_is_not_missed() {
    let root = tempfile::tempdir().unwrap();
    {
        let database = Database::open(root.path()).unwrap();
        sample::write(&database, 1);
        // Created by the library, and not noted.
        drop(database.inner().keyspace(LATE, Default::default).unwrap());
    }
    let created = tree(root.path());
    let current = Path::new("db/keyspaces/5/current");
    assert!(created.contains_key(current), "the library did create it");
    let variants = [
        created.clone(),
        without(&created, current),
        without(&created, Path::new("db/keyspaces/5/tables")),
        without(&created, Path::new("db/keyspaces/5")),
    ];
    for tree in variants {
        let root = restored(&tree);
        write_late(&Database::open(root.path()).unwrap(), b"written");
        let database = Database::open(root.path()).unwrap();
        assert_eq!(late(&database), Some(b"written".to_vec()));
        assert_eq!(sample::contents(&database).unwrap().len(), 2);
    }
    // One with something in it was noted; a note without it is another database's.
    let other = {
        let root = restored(&created);
        let database = Database::open(root.path()).unwrap();
        write_late(&database, b"written");
        database.keyspace(LATE).unwrap().rotate_memtable_and_wait().unwrap();
        drop(database);
        let mut other = self::tree(root.path());
        let noted = created[Path::new("db/keyspaces.txt")].clone();
        assert_ne!(other.insert("db/keyspaces.txt".into(), noted.clone()), Some(noted));
        other
    };
    let error = refused(&other);
    assert!(error.contains("db/keyspaces/5 has something in it"), "{error}");
}

#[test]
fn a_database_that_was_not_created_whole_is_created_again() {
    let root = tempfile::tempdir().unwrap();
    drop(Database::open(root.path()).unwrap());
    let whole = tree(root.path());
    for without_it in ["db/synced", "db/keyspaces.txt", "db/version", "db/keyspaces/0/current"] {
        let root = restored(&without(&whole, Path::new(without_it)));
        fs::rename(root.path().join("db"), root.path().join("db.unfinished")).unwrap();
        drop(Database::open(root.path()).unwrap());
        let names: Vec<_> = tree(root.path()).into_keys().collect();
        assert_eq!(names, whole.keys().cloned().collect::<Vec<_>>());
    }
}

/// A table's blocks are looked at when they are read.
#[test]
fn a_table_that_is_damaged_is_named_when_it_is_read() {
    let (mut damaged, _) = whole();
    let tables = Path::new("db/keyspaces/3/tables");
    let path = damaged.keys().find(|path| path.parent() == Some(tables)).unwrap().clone();
    let bytes = damaged.get_mut(&path).unwrap().as_mut().unwrap();
    bytes[100] ^= 1;
    let root = restored(&damaged);
    let database = Database::open(root.path()).unwrap();
    for _ in 0..2 {
        let error = sample::contents(&database).expect_err("a block is damaged");
        assert!(error.is_damage(), "{error}");
        assert_eq!(error.damaged_table(), Some(root.path().join(&path)), "{error}");
    }
}
