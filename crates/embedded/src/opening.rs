//! The steps of an opening.

use std::path::Path;

use crate::journal::{self, Whole};
use crate::{Error, files, manifests, synced};

/// Memory for cached blocks of tables.
const CACHE_BYTES: u64 = 64 << 20;
/// Threads that flush and compact. One: with more, the library's first worker leaves compactions to the
/// others and, until one of them is free, passes the message on to itself without a pause, a whole core.
const WORKER_THREADS: usize = 1;

/// Journal kept on the disk; what it holds is read again at every opening.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;

/// Looks at all that the library believes without looking, and repairs what a crash left.
pub(crate) fn check(directory: &Path, path: &Path) -> Result<Whole, Error> {
    let journals = files::check(directory)?;
    manifests::check(directory, path)?;
    let synced = synced::read(directory, path)?;
    let whole = journal::check(directory, &journals, synced)?;
    whole.cut()?;
    files::make_lock(path)?;
    Ok(whole)
}

/// Opens the library's database, or creates it.
pub(crate) fn open(path: &Path) -> fjall::Result<fjall::Database> {
    fjall::Database::builder(path)
        .cache_size(CACHE_BYTES)
        .worker_threads(WORKER_THREADS)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .open()
}

/// Creates the database under another name and renames it when it is whole: the library cannot open
/// one that a crash left half created.
pub(crate) fn create(directory: &Path, path: &Path) -> Result<(), Error> {
    let io = |source| Error::io(directory, source);
    let unfinished = directory.join("db.unfinished");
    if unfinished.try_exists().map_err(io)? {
        std::fs::remove_dir_all(&unfinished).map_err(io)?;
    }
    let database = open(&unfinished).map_err(|source| Error::database(directory, source))?;
    drop(database);
    std::fs::rename(&unfinished, path).map_err(io)?;
    std::fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(io)
}
