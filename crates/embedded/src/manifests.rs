//! Looks at the manifests before the library does: which tables a keyspace has, and how they lie. The library
//! writes a checksum of each and never reads it, takes a keyspace without a manifest for one that was being
//! created, and removes it, and removes tables that no manifest names.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::Error;

/// The number of a manifest (u64), its XXH3 (u128), both little-endian, and 0.
const CURRENT_BYTES: usize = 25;

/// Compares each keyspace's manifest with its checksum.
///
/// # Errors
/// The file that is not what was written.
pub(crate) fn check(directory: &Path, files: &Path) -> Result<(), Error> {
    let keyspaces = files.join("keyspaces");
    let wrong = |file: &Path, what| Err(Error::files(directory, file, what));
    if !keyspaces.join("0").is_dir() {
        return wrong(&keyspaces.join("0"), "is no directory");
    }
    let mut found = Vec::new();
    for path in entries(&keyspaces)?.into_iter().filter(|path| path.is_dir()) {
        match path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse::<u64>().ok()) {
            Some(number) => found.push((number, path)),
            None => return wrong(&path, "is no keyspace"),
        }
    }
    let last = found.iter().map(|(number, _)| *number).max();
    for (number, keyspace) in found {
        let path = keyspace.join("current");
        let Some(current) = read(&path)? else {
            match Some(number) == last && is_unfinished(&keyspace)? {
                true => continue,
                false => return wrong(&path, "is not there"),
            }
        };
        let Ok(current) = <[u8; CURRENT_BYTES]>::try_from(current) else {
            return wrong(&path, "has a wrong length");
        };
        let number = u64::from_le_bytes(std::array::from_fn(|i| current[i]));
        let checksum = u128::from_le_bytes(std::array::from_fn(|i| current[8 + i]));
        let path = keyspace.join(format!("v{number}"));
        match read(&path)? {
            None => return wrong(&path, "is not there, or `current` beside it is damaged"),
            Some(manifest) if xxh3_128(&manifest) != checksum || current[24] != 0 => {
                return wrong(&path, "and `current` beside it do not fit together");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether the newest keyspace was left half created by a crash: it has no table and at most its first manifest.
fn is_unfinished(keyspace: &Path) -> Result<bool, Error> {
    let tables = keyspace.join("tables");
    let has_tables = tables.is_dir() && !entries(&tables)?.is_empty();
    let later = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with('v') && name != "v0"
    };
    Ok(!has_tables && !entries(keyspace)?.iter().any(|path| later(path)))
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let found: io::Result<_> =
        fs::read_dir(path).and_then(|found| found.map(|entry| Ok(entry?.path())).collect());
    found.map_err(|error| Error::io(path, error))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| Error::io(path, error)),
    }
}
