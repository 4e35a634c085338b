//! Which keyspaces the database has, in a file beside the journals: the library takes one whose directory is gone
//! for one that was never created, and drops what the journals hold of it.
//!
//! A keyspace is noted, and the note is on the disk, before anybody gets it to write to. So one that is noted has
//! a directory with a manifest, and one that is not, because a crash came between, has nothing in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fjall::Keyspace;
use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// Within the database.
pub(crate) const FILE: &str = "keyspaces.txt";
/// Where the library has them, by their numbers.
pub(crate) const FOLDER: &str = "keyspaces";

/// Names of keyspaces by their numbers.
pub(crate) type Names = BTreeMap<u64, String>;

/// The keyspaces that are noted, while the database is open.
pub(crate) struct Keyspaces {
    directory: PathBuf,
    files: PathBuf,
    noted: Mutex<Names>,
}

impl Keyspaces {
    /// Of the database `files` in `directory`, whose file says `noted`.
    pub(crate) fn new(directory: &Path, files: &Path, noted: Names) -> Self {
        Self { directory: directory.to_owned(), files: files.to_owned(), noted: Mutex::new(noted) }
    }

    /// Notes a keyspace, if it is new. Nobody may write to it before.
    ///
    /// # Errors
    /// When another one of the name is noted; when the system refuses.
    pub(crate) fn note(&self, keyspace: &Keyspace) -> Result<(), Error> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let name = &**keyspace.name();
        match noted.iter().find(|(_, noted)| *noted == name) {
            Some((number, _)) if *number == keyspace.id() => return Ok(()),
            Some((number, _)) => {
                let lost = self.files.join(FOLDER).join(number.to_string());
                return Err(Error::files(&self.directory, &lost, "is not what was written"));
            }
            None => {}
        }
        let mut with_it = noted.clone();
        with_it.insert(keyspace.id(), name.to_owned());
        // The library syncs the keyspace's directory, but not this one.
        sync(&self.files.join(FOLDER))?;
        write(&self.files, &with_it)?;
        *noted = with_it;
        Ok(())
    }
}

/// What the file of a database says.
///
/// # Errors
/// When it is not there, or not what was written; when the system refuses.
pub(crate) fn read(directory: &Path, files: &Path) -> Result<Names, Error> {
    let path = files.join(FILE);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::files(directory, &path, "is not there"));
        }
        text => text.map_err(|error| Error::io(&path, error))?,
    };
    match parse(&text).filter(|noted| text == self::text(noted).as_bytes()) {
        Some(noted) => Ok(noted),
        None => Err(Error::files(directory, &path, "is not what was written")),
    }
}

fn parse(text: &[u8]) -> Option<Names> {
    let lines = str::from_utf8(text).ok()?.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(number, name)| Some((number.parse().ok()?, name.to_owned()))).collect()
}

/// Puts the file in the place of the one before, as a whole.
///
/// # Errors
/// When the system refuses.
pub(crate) fn write(files: &Path, noted: &Names) -> Result<(), Error> {
    let (path, unfinished) = (files.join(FILE), files.join("keyspaces.new"));
    let io = |error| Error::io(&path, error);
    let mut file = File::create(&unfinished).map_err(io)?;
    file.write_all(text(noted).as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&unfinished, &path).map_err(io)?;
    sync(files)
}

/// Syncs which files a directory has.
pub(crate) fn sync(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|opened| opened.sync_all());
    synced.map_err(|error| Error::io(folder, error))
}

/// A line for each, its number and its name, and the XXH3 of the lines.
fn text(noted: &Names) -> String {
    let lines: String = noted.iter().map(|(number, name)| format!("{number} {name}\n")).collect();
    let checksum = xxh3_64(lines.as_bytes());
    format!("{lines}{checksum:016x}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_a_flipped_bit_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let error = read(root.path(), root.path()).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("keyspaces.txt is not there"));
        let mut noted = Names::new();
        for names in [&["batches"][..], &["two words", "log"]] {
            write(root.path(), &noted).unwrap();
            assert_eq!(read(root.path(), root.path()).unwrap(), noted);
            noted.extend(
                (noted.len() as u64 + 1..).zip(names.iter().map(|name| (*name).to_owned())),
            );
        }
        write(root.path(), &noted).unwrap();
        let path = root.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            let error = read(root.path(), root.path()).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(FILE), "{error}");
        }
    }
}
