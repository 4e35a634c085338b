//! Files that are there whole or not at all: written aside, synced, renamed, directory synced.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::Error;

/// Writes `bytes` to `path` so that a crash leaves the old file, the new one or none.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let aside = aside(path);
    let mut file = File::create(&aside).map_err(Error::io(&aside))?;
    file.write_all(bytes).map_err(Error::io(&aside))?;
    file.sync_all().map_err(Error::io(&aside))?;
    publish(&aside, path)
}

/// Gives a synced file or directory its name.
pub(crate) fn publish(aside: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(aside, path).map_err(Error::io(path))?;
    let parent = path.parent().unwrap_or(Path::new("."));
    sync_dir(parent)
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io(dir))
}

pub(crate) fn create_dir(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(Error::io(dir))
}

/// Where a file is written before it has its name; what a crash leaves there is overwritten.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

/// Reads a regular file. Opening a pipe would wait for whoever writes into it, and nobody does.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let kind = fs::metadata(path).map_err(Error::io(path))?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(Error::io(path)(source));
    }
    fs::read(path).map_err(Error::io(path))
}

/// SHA-256, lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}
