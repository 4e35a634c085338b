//! `log.json` beside the partitions of an archived log: how far each of them was published. Without it, a
//! partition or a last file that is gone would be taken for one that never was.
//!
//! It is written after the files that it speaks of, so what it promises is there, also while an archive
//! run is at work; what a run has written beyond is whole, and is promised by its end.

use std::path::{Path, PathBuf};

use record::Offset;
use serde::{Deserialize, Serialize};

use crate::{Error, files};

const VERSION: u32 = 1;
const REMEDY: &str = "restore it, or run `twofold archive` while the log still holds everything";

#[derive(Serialize, Deserialize)]
struct Published {
    version: u32,
    /// By partition: where its files end.
    ends: Vec<u64>,
}

fn path(log_dir: &Path) -> PathBuf {
    log_dir.join("log.json")
}

/// Says where each partition ends.
pub(super) fn write(log_dir: &Path, ends: &[Offset]) -> Result<(), Error> {
    if read(log_dir).is_ok_and(|found| found == ends) {
        return Ok(());
    }
    let ends = ends.iter().map(|end| end.0).collect();
    let json = serde_json::to_vec(&Published { version: VERSION, ends }).expect("numbers");
    files::write(&path(log_dir), &json)
}

/// Where each partition ends at least; all of them are there.
///
/// # Errors
/// When it is not said, or a partition is gone.
pub(super) fn read(log_dir: &Path) -> Result<Vec<Offset>, Error> {
    let path = path(log_dir);
    let damaged =
        |path: PathBuf, what: &str| Error::Damaged { path, what: what.to_owned(), remedy: REMEDY };
    let bytes = std::fs::read(&path)
        .map_err(|error| damaged(path.clone(), &format!("cannot be read ({error})")))?;
    let Published { version, ends } = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(path.clone(), &error.to_string()))?;
    if version != VERSION {
        return Err(damaged(path, &format!("version {version}, this build reads {VERSION}")));
    }
    let dirs = (0..ends.len()).map(|partition| log_dir.join(format!("p{partition}")));
    match dirs.into_iter().find(|dir| !dir.is_dir()) {
        Some(dir) => Err(damaged(dir, "is not there")),
        None => Ok(ends.into_iter().map(Offset).collect()),
    }
}
