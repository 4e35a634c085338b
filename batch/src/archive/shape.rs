//! `log.json` beside the partitions of an archived log: how many there are. Without it, a partition whose
//! directory is gone would be taken for one that never was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, files};

const VERSION: u32 = 1;
const REMEDY: &str = "restore it, or run `twofold archive`";

#[derive(Serialize, Deserialize)]
struct Shape {
    version: u32,
    partitions: u32,
}

fn path(log_dir: &Path) -> PathBuf {
    log_dir.join("log.json")
}

/// Says how many partitions a log has.
pub(super) fn write(log_dir: &Path, partitions: u32) -> Result<(), Error> {
    if read(log_dir).is_ok_and(|found| found == partitions) {
        return Ok(());
    }
    let json = serde_json::to_vec(&Shape { version: VERSION, partitions }).expect("two numbers");
    files::write(&path(log_dir), &json)
}

/// How many partitions a log has, all of which are there.
///
/// # Errors
/// When it is not said, or one of them is gone.
pub(super) fn read(log_dir: &Path) -> Result<u32, Error> {
    let path = path(log_dir);
    let damaged =
        |path: PathBuf, what: &str| Error::Damaged { path, what: what.to_owned(), remedy: REMEDY };
    let Ok(bytes) = std::fs::read(&path) else {
        return Err(damaged(path, "cannot be read"));
    };
    let Shape { version, partitions } = serde_json::from_slice(&bytes)
        .map_err(|error| damaged(path.clone(), &error.to_string()))?;
    if version != VERSION {
        return Err(damaged(path, &format!("version {version}, this build reads {VERSION}")));
    }
    let dirs = (0..partitions).map(|partition| log_dir.join(format!("p{partition}")));
    match dirs.into_iter().find(|dir| !dir.is_dir()) {
        Some(dir) => Err(damaged(dir, "is not there")),
        None => Ok(partitions),
    }
}
