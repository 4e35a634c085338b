use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{manifests, opening};

/// Why a data directory could not be used. Cheap to clone, because all who wait for one sync get
/// the same one.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process owns the directory.
    #[error("data directory {path} is owned by {owner}: stop it, or use another --data")]
    Owned {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: Owner,
    },
    /// There is no database, and none is to be made.
    #[error(
        "{path} is no data directory of twofold: give the right one with --data, or fill it first \
         (`twofold import`, `up` or `demo`)"
    )]
    NoDatabase {
        /// The directory.
        path: PathBuf,
    },
    /// What was given is no directory.
    #[error("{path} is no directory: name one with --data")]
    NoDirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A file of the database is not there, or is something else than a file.
    #[error("embedded database in {path}: {file} {what}; {DAMAGED}")]
    Files {
        /// The data directory.
        path: PathBuf,
        /// The file, from the data directory.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A journal is not what was written.
    #[error("embedded database in {path}: {file} {what} at byte {at}; {DAMAGED}")]
    Journal {
        /// The data directory.
        path: PathBuf,
        /// The journal, from the data directory.
        file: PathBuf,
        /// Where in it, in bytes.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Somebody in this very process has that part of the database open.
    #[error("the {name} of this data directory is open already: share the one that is")]
    Taken {
        /// The part.
        name: &'static str,
    },
    /// The directory, or a file in it, cannot be read or written.
    #[error("{path}: {source}{}", unwritable(source))]
    Io {
        /// The directory, or the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The database library's own error.
    #[error("embedded database in {path}: {}; {remedy}", said(cause))]
    Database {
        /// The data directory.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
        /// What the library said. No source: it is said in our words already.
        cause: Arc<fjall::Error>,
    },
}

/// Who has a data directory, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Process id; `None` in the moment between taking the directory and saying so.
    pub pid: Option<u32>,
    /// When it took the directory, in milliseconds since the Unix epoch, if it said so.
    pub started_ms: Option<i64>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source: Arc::new(source) }
    }

    /// Of a file of the database in `directory`.
    pub(crate) fn files(directory: &Path, file: &Path, what: &'static str) -> Self {
        let file = file.strip_prefix(directory).unwrap_or(file).to_owned();
        Self::Files { path: directory.to_owned(), file, what }
    }

    pub(crate) fn database(path: &Path, source: fjall::Error) -> Self {
        Self::Database { path: path.to_owned(), remedy: remedy(&source), cause: Arc::new(source) }
    }
}

impl Error {
    /// Whether the database's files are not what was written: trying again does not help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Database { cause, .. } => is_damage(cause),
            Self::Files { .. } | Self::Journal { .. } => true,
            _ => false,
        }
    }
}

impl Error {
    /// The table that the library has met, where it is one that is damaged: reads all of the database's tables,
    /// so it is for whoever has nothing else to do.
    #[must_use]
    pub fn damaged_table(&self) -> Option<PathBuf> {
        match self {
            Self::Database { path, cause, .. } if opening::may_be_a_table(cause) => {
                manifests::damaged_table(path)
            }
            _ => None,
        }
    }
}

const DAMAGED: &str = "it is damaged: restore a copy, or use another --data and import again";

fn unwritable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; a data directory must be readable and writable: change its rights, or use another --data"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space on its disk, then start again: nothing acknowledged is lost"
        }
        _ => "",
    }
}

/// The library shows its errors as their Rust source would.
fn said(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            error.to_string()
        }
        fjall::Error::Poisoned => "it takes no more writes".to_owned(),
        fjall::Error::Locked => "it is open already".to_owned(),
        fjall::Error::InvalidVersion(Some(version)) => {
            format!("its files are of format {version}")
        }
        fjall::Error::InvalidVersion(None) => "db/version names no format".to_owned(),
        fjall::Error::JournalRecovery(error) => format!("its journal cannot be read ({error:?})"),
        fjall::Error::Storage(error) => format!("its tables cannot be read ({error:?})"),
        other => format!("its files cannot be read ({other:?})"),
    }
}

fn is_damage(error: &fjall::Error) -> bool {
    use fjall::Error::{InvalidVersion, Io, KeyspaceDeleted, Locked, Poisoned, Storage};
    match error {
        Io(error) | Storage(fjall::LsmError::Io(error)) => matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
        ),
        Poisoned | Locked | InvalidVersion(Some(_)) | KeyspaceDeleted => false,
        _ => true,
    }
}

fn remedy(error: &fjall::Error) -> &'static str {
    match error {
        damage if is_damage(damage) => DAMAGED,
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            match error.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => {
                    "free space on its disk, then start again: nothing acknowledged is lost"
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "make it writable for this user"
                }
                _ => "check the disk (see the system's log), then start again",
            }
        }
        fjall::Error::Poisoned => {
            "an earlier write or flush failed, most often for want of space, and no more are taken: \
             free space on its disk or mend it, then start again"
        }
        fjall::Error::Locked => "another process has it open: stop that one first",
        fjall::Error::InvalidVersion(_) => "it was written by another version: use another --data",
        _ => "start again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_written_says_what_to_do_about_it() {
        let of = |kind: io::ErrorKind| Error::io(Path::new("d/db"), kind.into()).to_string();
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            assert!(of(kind).ends_with("change its rights, or use another --data"), "{}", of(kind));
        }
        assert_eq!(of(io::ErrorKind::NotFound), "d/db: entity not found");
    }
}
