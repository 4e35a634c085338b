//! The steps of an opening.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::journal::{self, Whole};
use crate::keyspaces::{self, Names};
use crate::synced::{self, Note, Synced};
use crate::{Error, files, manifests};

/// Memory for cached blocks of tables.
const CACHE_BYTES: u64 = 64 << 20;
/// Threads that flush and compact. One: with more, the library's first worker leaves compactions to the
/// others and, until one of them is free, passes the message on to itself without a pause, a whole core.
const WORKER_THREADS: usize = 1;

/// Journal kept on the disk; what it holds is read again at every opening.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;

/// Looks at all that the library believes without looking, and repairs what a crash left, if that is all that is
/// wrong. Gives the journals and the keyspaces that are noted.
pub(crate) fn check(directory: &Path, path: &Path) -> Result<(Whole, Names), Error> {
    let journals = files::check(directory)?;
    let synced = synced::read(directory, path)?;
    let noted = keyspaces::read(directory, path)?;
    manifests::check(directory, path, &noted)?;
    let whole = journal::check(directory, &journals, synced)?;
    whole.cut()?;
    files::make_lock(path)?;
    Ok((whole, noted))
}

/// Opens the library's database, or creates it.
pub(crate) fn open(path: &Path) -> fjall::Result<fjall::Database> {
    fjall::Database::builder(path)
        .cache_size(CACHE_BYTES)
        .worker_threads(WORKER_THREADS)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        // Journals do not last, and whoever writes holds the lock that all others wait for.
        .journal_compression(fjall::CompressionType::None)
        .open()
}

/// The library's error when it opens a database, with the table that is damaged, if one is.
pub(crate) fn failed(directory: &Path, source: fjall::Error) -> Error {
    match may_be_a_table(&source) {
        true => named(directory, source, || manifests::damaged_table(directory)),
        false => Error::database(directory, source),
    }
}

/// Whether the library may have met a damaged table: it does not say which.
pub(crate) fn may_be_a_table(source: &fjall::Error) -> bool {
    match source {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
            )
        }
        fjall::Error::Storage(_) => true,
        _ => false,
    }
}

/// An error that names the table, if one is found.
pub(crate) fn named(
    directory: &Path,
    source: fjall::Error,
    table: impl FnOnce() -> Option<PathBuf>,
) -> Error {
    match table() {
        Some(table) => Error::files(directory, &table, "is not what was written"),
        None => Error::database(directory, source),
    }
}

/// Creates the database under another name and renames it when it is whole: the library cannot open
/// one that a crash left half created. Our own notes are in it from the first, so that one without them has lost
/// them.
pub(crate) fn create(directory: &Path, path: &Path) -> Result<(), Error> {
    let io = |source| Error::io(directory, source);
    let unfinished = directory.join("db.unfinished");
    if unfinished.try_exists().map_err(io)? {
        std::fs::remove_dir_all(&unfinished).map_err(io)?;
    }
    let database = open(&unfinished).map_err(|source| Error::database(directory, source))?;
    drop(database);
    Synced::create(&unfinished, Note { number: 0, journal: None })?;
    keyspaces::write(&unfinished, &Names::new())?;
    // The library syncs it before there is anything in it.
    keyspaces::sync(&unfinished.join(keyspaces::FOLDER))?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    keyspaces::sync(directory)
}
