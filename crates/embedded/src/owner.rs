//! One owner per directory: `owner.json` is locked by the owner for as long as it lives and says who
//! it is. The lock is the truth; after kill -9 the file stays, unlocked, and names nobody any more.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::Owner;

/// A process that was killed holds its lock until the system has taken it apart.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

#[derive(Serialize, Deserialize)]
struct Note {
    pid: u32,
    started_ms: Option<i64>,
}

/// The locked file; dropping it gives the directory back.
pub(crate) struct Ownership {
    file: File,
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // The next one to fail to open must not be told of us; the lock goes with the file.
        if let Err(error) = self.file.set_len(0) {
            tracing::warn!(%error, "owner.json still names this process");
        }
    }
}

/// Name of the locked file.
pub(crate) const FILE: &str = "owner.json";

pub(crate) fn take(directory: &Path, started_ms: Option<i64>) -> Result<Ownership, Error> {
    let path = directory.join(FILE);
    let io = |source| Error::io(&path, source);
    let options = File::options().read(true).write(true).create(true).truncate(false).to_owned();
    let mut file = options.open(&path).map_err(io)?;
    for tried in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tried < TRIES => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => {
                let owner = read(&mut file).map_err(io)?;
                return Err(Error::Owned { path: directory.to_owned(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
    }
    let note = Note { pid: std::process::id(), started_ms };
    let json = serde_json::to_vec(&note).expect("a pid and a time are JSON");
    file.set_len(0).map_err(io)?;
    file.write_all(&json).map_err(io)?;
    Ok(Ownership { file })
}

fn read(file: &mut File) -> std::io::Result<Owner> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    let note = serde_json::from_slice::<Note>(&text).ok();
    Ok(Owner {
        pid: note.as_ref().map(|note| note.pid),
        started_ms: note.and_then(|note| note.started_ms),
    })
}
