//! Looks at the keyspaces before the library does: at the manifest of each, which tables it has and how they lie,
//! and that those are there. The library writes a checksum of each manifest and never reads it, takes a keyspace
//! without a directory or without a manifest for one that was being created, and removes it, and removes tables
//! that no manifest names.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::container::{self, take};
use crate::keyspaces::{FOLDER, Names};
use crate::{Error, FILES};

/// The number of a manifest (u64), its XXH3 (u128), both little-endian, and 0.
const CURRENT_BYTES: usize = 25;
/// The keyspace in which the library has the names of the others.
const NAMES: u64 = 0;

/// A table, and the XXH3 of its file.
struct Table {
    path: PathBuf,
    checksum: u128,
}

/// Compares each keyspace's manifest with its checksum, and looks whether its tables are there. Those are not
/// read, but for their ends, and for the few that name the others.
///
/// # Errors
/// The file that is not what was written.
pub(crate) fn check(directory: &Path, files: &Path, noted: &Names) -> Result<(), Error> {
    let folder = files.join(FOLDER);
    let wrong = |file: &Path, what| Err(Error::files(directory, file, what));
    for number in [NAMES].iter().chain(noted.keys()) {
        let keyspace = folder.join(number.to_string());
        if !keyspace.is_dir() {
            return wrong(&keyspace, "is no directory, or not there");
        }
    }
    for keyspace in entries(&folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = keyspace.file_name().and_then(OsStr::to_str);
        let Some(number) = name.and_then(|name| name.parse::<u64>().ok()) else {
            return wrong(&keyspace, "is no keyspace");
        };
        let is_noted = number == NAMES || noted.contains_key(&number);
        if !is_noted {
            match is_new(&keyspace)? {
                // Left by a crash, half made or half removed: the library removes it.
                true => continue,
                false => {
                    let what = "has something in it and is not in `keyspaces.txt` beside it";
                    return wrong(&keyspace, what);
                }
            }
        }
        let Some(tables) = tables(directory, &keyspace)? else {
            return wrong(&keyspace.join("current"), "is not there");
        };
        for Table { path, checksum } in tables {
            let io = |error| Error::io(&path, error);
            match fs::metadata(&path) {
                Ok(found) if !found.is_file() => return wrong(&path, "is no file"),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return wrong(&path, "is not there");
                }
                Err(error) => return Err(io(error)),
                Ok(_) => {}
            }
            if !container::is_whole(&path).map_err(io)? {
                return wrong(&path, "has lost its end");
            }
            if number == NAMES && container::checksum(&path).map_err(io)? != checksum {
                return wrong(&path, "is not what was written");
            }
        }
    }
    Ok(())
}

/// Reads all tables and gives the first that is not what was written: to name it when the library met one. A table
/// that is not there is passed over, because the library removes some while the database is open.
pub(crate) fn damaged_table(directory: &Path) -> Option<PathBuf> {
    let keyspaces = entries(&directory.join(FILES).join(FOLDER)).ok()?;
    let tables = keyspaces.iter().filter_map(|path| tables(directory, path).ok()?).flatten();
    tables
        .filter(|table| container::checksum(&table.path).is_ok_and(|found| found != table.checksum))
        .map(|table| table.path)
        .next()
}

/// The tables that a keyspace's manifest names; `None`: it has no manifest.
fn tables(directory: &Path, keyspace: &Path) -> Result<Option<Vec<Table>>, Error> {
    let wrong = |file: &Path, what| Err(Error::files(directory, file, what));
    let path = keyspace.join("current");
    let Some(current) = read(&path)? else { return Ok(None) };
    let Ok(current) = <[u8; CURRENT_BYTES]>::try_from(current) else {
        return wrong(&path, "has a wrong length");
    };
    let number = u64::from_le_bytes(std::array::from_fn(|i| current[i]));
    let checksum = u128::from_le_bytes(std::array::from_fn(|i| current[8 + i]));
    let path = keyspace.join(format!("v{number}"));
    let manifest = match read(&path)? {
        None => return wrong(&path, "is not there, or `current` beside it is damaged"),
        Some(manifest) if xxh3_128(&manifest) != checksum || current[24] != 0 => {
            return wrong(&path, "and `current` beside it do not fit together");
        }
        Some(manifest) => manifest,
    };
    match container::section(&manifest, b"tables").and_then(|bytes| named(keyspace, bytes)) {
        None => wrong(&path, "does not say which tables there are"),
        tables => Ok(tables),
    }
}

/// Number of levels (u8), of each the number of runs (u8), of each the number of tables (u32), of each its number
/// (u64), the kind of its checksum (u8), that (u128), and a sequence number (u64).
fn named(keyspace: &Path, mut rest: &[u8]) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    let rest = &mut rest;
    for _ in 0..u8::from_le_bytes(take(rest)?) {
        for _ in 0..u8::from_le_bytes(take(rest)?) {
            for _ in 0..u32::from_le_bytes(take(rest)?) {
                let path =
                    keyspace.join("tables").join(u64::from_le_bytes(take(rest)?).to_string());
                let _kind: [u8; 1] = take(rest)?;
                let checksum = u128::from_le_bytes(take(rest)?);
                let _seqno: [u8; 8] = take(rest)?;
                tables.push(Table { path, checksum });
            }
        }
    }
    Some(tables)
}

/// Whether a keyspace can be one that nobody had yet: it has no table and at most its first manifest.
fn is_new(keyspace: &Path) -> Result<bool, Error> {
    let tables = keyspace.join("tables");
    let has_tables = tables.is_dir() && !entries(&tables)?.is_empty();
    let later = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with('v') && name != "v0"
    };
    Ok(!has_tables && !entries(keyspace)?.iter().any(|path| later(path)))
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let found: io::Result<Vec<_>> =
        fs::read_dir(path).and_then(|found| found.map(|entry| Ok(entry?.path())).collect());
    let mut found = found.map_err(|error| Error::io(path, error))?;
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| Error::io(path, error)),
    }
}
