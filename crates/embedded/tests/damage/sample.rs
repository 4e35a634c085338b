//! A small database with everything in it that a large one has, and what to compare.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use embedded::{Database, Options, Ticket};
use fjall::Keyspace;

pub(crate) type Contents = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

const KEYSPACES: [&str; 2] = ["log", "states"];
/// So small that tables are written all the time.
const MEMTABLE_BYTES: u64 = 4 << 10;

/// Tables with what was written first, and two journals with the rest; the older one begins behind what is in the
/// tables, as if one before it had been removed. As files, from the data directory.
pub(crate) fn files() -> Files {
    let root = tempfile::tempdir().unwrap();
    let (from, middle);
    {
        let options = Options { memtable_bytes: Some(MEMTABLE_BYTES), ..Options::default() };
        let database = Database::open_with(root.path(), options).unwrap();
        for i in 0..120 {
            write(&database, i);
        }
        for name in KEYSPACES.into_iter().chain(["batches"]) {
            database.keyspace(name).unwrap().rotate_memtable_and_wait().unwrap();
        }
        from = end(root.path());
        for i in 120..130 {
            write(&database, i);
        }
        middle = end(root.path());
        for i in 130..140 {
            write(&database, i);
        }
    }
    let mut files = read(root.path());
    let end = end(root.path());
    let journal = files.remove(Path::new("db/0.jnl")).unwrap();
    files.insert("db/7.jnl".into(), [&journal[from..middle], &[0; 100]].concat());
    files.insert("db/8.jnl".into(), [&journal[middle..end], &[0; 100]].concat());
    files
}

/// One batch over both keyspaces: a new entry, a changed one and one that is removed.
pub(crate) fn write(database: &Database, i: u32) -> Ticket {
    let [log, states]: [Keyspace; 2] = KEYSPACES.map(|name| database.keyspace(name).unwrap());
    let mut batch = database.batch();
    batch.insert(&log, i.to_be_bytes(), [i as u8; 150]);
    batch.insert(&states, (i % 16).to_be_bytes(), i.to_be_bytes());
    batch.remove(&log, (i / 2).to_be_bytes());
    database.write(batch).unwrap()
}

/// Where the only journal's last byte is.
pub(crate) fn end(root: &Path) -> usize {
    let bytes = fs::read(root.join("db/0.jnl")).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

pub(crate) fn contents(database: &Database) -> Result<Contents, embedded::Error> {
    let mut contents = Contents::new();
    for name in KEYSPACES {
        for entry in database.keyspace(name)?.iter() {
            let (key, value) = entry.into_inner().map_err(|error| database.failed(error))?;
            contents.insert((name, key.to_vec()), value.to_vec());
        }
    }
    Ok(contents)
}

pub(crate) fn read(root: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap();
                    files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
                }
            }
        }
    }
    files
}

/// A new directory with these files.
pub(crate) fn restored(files: &Files) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    root
}
