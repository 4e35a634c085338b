//! The data directory's one embedded database: opening it, owning it, making it durable.
//!
//! A crate of its own because the embedded event log and the embedded online store live in one
//! database with one journal (so that the log is durable before the state is), and neither may know
//! the other. It knows nothing of records or states.

use std::path::{Path, PathBuf};

/// Why a data directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns the directory.
    #[error("data directory {path} is owned by process {pid}: stop it, or use another --data")]
    Owned {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        pid: u32,
    },
    /// The directory cannot be read or written.
    #[error("data directory {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database library's own error.
    #[error("embedded database: {0}")]
    Database(#[from] fjall::Error),
}

/// The one database of a data directory, held by one process. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    inner: fjall::Database,
    directory: PathBuf,
}

impl Database {
    /// Opens or creates `directory`'s database and takes ownership of the directory.
    ///
    /// # Errors
    /// [`Error::Owned`] names the process that has it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let inner = fjall::Database::builder(directory.join("db")).open()?;
        Ok(Self { inner, directory: directory.to_owned() })
    }

    /// The library's handle, for the two adapters.
    #[must_use]
    pub fn inner(&self) -> &fjall::Database {
        &self.inner
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}
