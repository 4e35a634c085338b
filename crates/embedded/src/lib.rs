//! The data directory's one embedded database: opening it, owning it, making it durable.
//!
//! A crate of its own because the embedded event log and the embedded online store live in one
//! database with one journal (so that the log is durable before the state is), and neither may know
//! the other. It knows nothing of records or states.
//!
//! # Why the state can never be ahead of the log
//!
//! Every write goes through one journal file, in one order, under one lock. The log hides a record
//! from its readers until the journal is synced past it ([`Database::sync`]), and a state can only
//! be computed from a record that was read, so the journal is durable up to every record of a state
//! before that state is even written. A state commit therefore needs no sync of its own: if the
//! power fails, what is lost is a tail of the journal, the states in it are computed again from the
//! log, and the log lost nothing that anybody had seen. What goes before a commit and need not last longer
//! (late records) is written before it, and needs no sync of its own either ([`Database::journal`]).
//!
//! Tables cannot overtake the journal: it is synced before a memtable is closed, after which it may become a
//! table. fjall syncs it before it writes tables (`worker_pool.rs`, `WorkerMessage::Flush`), but then it writes
//! the memtables that were closed since as well.
//!
//! # What of a damaged database is found
//!
//! Before the library opens it (and repairs what it takes for the traces of a crash), an opening looks at all
//! that the library would believe: a bit that is flipped, or a piece that is gone, in what was synced is refused
//! with its file, and in a journal its offset, and nothing on the disk is changed ([`Error::is_damage`]).
//!
//! - The journals are read as a whole: every batch has its checksum, its place and its sequence number, and none
//!   is missing up to the last one that was synced (`db/synced`; after a power failure this file may say less
//!   than is true, so damage in the last seconds before one can look like its trace).
//! - The manifests are compared with their checksums, which the library does not do.
//! - Every keyspace that was ever written to (`db/keyspaces.txt`) must have its directory and its manifest, and
//!   every table that a manifest names must be there, with its end.
//! - Tables are not read as a whole: each block has a checksum, and a damaged one is an error when it is read, and
//!   looked for then ([`Error::damaged_table`]). The library reads some when it opens them; if one of those is damaged, all that may
//!   be gone is manifests that are not in use any more.
//!
//! Not missed are `db/lock`, which is empty, and empty directories for tables. Not found are the oldest of several
//! journals, or its first batches, that somebody removed exactly, as the library does when all of it is in tables;
//! and an older state of the whole `db` (the event log finds that for itself). A sequence number that is wrong and
//! keeps its order is not found either, and does no harm.
//!
//! Start with [`Database::open_with`].

mod container;
pub mod crash;
mod error;
mod files;
mod group_sync;
mod journal;
mod keyspaces;
mod manifests;
mod memtables;
mod opening;
mod owner;
mod role;
mod stamp;
mod synced;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use fjall::compaction::Leveled;
use fjall::{Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

pub use crate::error::Error;
use crate::group_sync::GroupSync;
use crate::keyspaces::Keyspaces;
use crate::memtables::{Closing, Memtables};
use crate::owner::Ownership;
pub use crate::role::Role;
use crate::role::Roles;
use crate::stamp::Stamp;
use crate::synced::{Mark, Note, Synced};

/// Where a data directory has its database.
const FILES: &str = "db";
/// Bytes of new entries in memory if nothing else is said: the library's own 64 MiB take longer to search, and
/// what is written of them at once is longer in the way of others. Less than the 16 MiB at which the library
/// itself asks for a rotation in databases of earlier versions.
const MEMTABLE_BYTES: u64 = 12 << 20;
/// Bytes of a table that is written when tables are merged. A table is synced when it is whole, and a journal's
/// sync waits until the disk has it: for 64 MiB, the library's own, it was 45 ms, for 16 MiB 13 ms.
const TABLE_BYTES: u64 = 16 << 20;

/// Batches after which it is looked again which journal is the newest: nobody can write meanwhile. A note may name
/// an older one than need be until then, which is true as well.
const MARK_EVERY: u64 = 256;

/// When the journal is synced to the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// Whenever a writer asks for it: an acknowledged append survives a power failure.
    #[default]
    Always,
    /// Never, nor is the journal handed to the system after each write: for a private realm whose
    /// directory is thrown away. A crash loses data, even acknowledged data.
    Never,
}

/// What to do where a directory has no database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// Create it, and the directory.
    #[default]
    Create,
    /// Refuse, and leave no trace: a command that only looks must not make what it was to look at.
    Refuse,
}

/// How to open a database.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What to do where there is no database.
    pub missing: Missing,
    /// When the journal is synced.
    pub sync: SyncMode,
    /// Where to abort the process, in tests of crashes.
    pub crash_at: Option<crash::CrashPoint>,
    /// Bytes of new entries that a keyspace holds in memory before it writes them as a table; 12 MiB if
    /// not said.
    pub memtable_bytes: Option<u64>,
    /// Now, in milliseconds since the Unix epoch, told to whoever finds the directory taken.
    pub started_ms: Option<i64>,
}

/// A write that [`Database::sync`] can make durable; later writes have greater tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Which journal something is written to: nothing that is written to it later outlives what was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalId(usize);

/// The one database of a data directory, held by one process. Cheap to clone.
///
/// The directory stays owned until the last clone is dropped.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    // Before `inner`, whose keyspaces it has.
    memtables: Memtables,
    // Before `_ownership`: the database closes while the directory is still owned.
    inner: fjall::Database,
    directory: PathBuf,
    sync: SyncMode,
    memtable_bytes: Option<u64>,
    /// Carries the batches' stamps.
    stamps: Keyspace,
    keyspaces: Keyspaces,
    /// Held while a batch gets its number and its place in the journal.
    order: Arc<Mutex<()>>,
    group: GroupSync,
    /// `None` with [`SyncMode::Never`].
    noted: Option<Synced>,
    mark: Mutex<Mark>,
    roles: Roles,
    crash: Option<crash::Armed>,
    /// No more writes are taken.
    poisoned: Arc<AtomicBool>,
    /// Whether a damaged table that the library has met was looked for.
    naming: Once,
    _ownership: Ownership,
}

/// Whether a directory has a database.
///
/// # Errors
/// When the system does not say.
pub fn exists(directory: &Path) -> Result<bool, Error> {
    files::is_directory(directory)?;
    directory.join(FILES).try_exists().map_err(|source| Error::io(directory, source))
}

/// Removes everything in a directory that nobody else owns.
///
/// # Errors
/// When another process owns it, naming that process; or when the system refuses.
pub fn clear(directory: &Path) -> Result<(), Error> {
    let _ownership = owner::take(directory, None)?;
    let io = |source| Error::io(directory, source);
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        let removed = match entry.file_type().map_err(io)? {
            // Locked until the rest is gone; the next owner takes it over.
            _ if entry.file_name() == owner::FILE => Ok(()),
            kind if kind.is_dir() => std::fs::remove_dir_all(&path),
            _ => std::fs::remove_file(&path),
        };
        removed.map_err(|source| Error::io(&path, source))?;
    }
    Ok(())
}

impl Database {
    /// Opens or creates `directory`'s database and takes ownership of the directory.
    ///
    /// # Errors
    /// [`Error::Owned`] names the process that has it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_with(directory, Options::default())
    }

    /// As [`Database::open`], with settings.
    ///
    /// # Errors
    /// [`Error::Owned`] names the process that has it; [`Error::NoDatabase`] where it was to be there.
    pub fn open_with(directory: &Path, options: Options) -> Result<Self, Error> {
        let io = |source| Error::io(directory, source);
        let path = directory.join(FILES);
        files::is_directory(directory)?;
        match options.missing {
            Missing::Create => std::fs::create_dir_all(directory).map_err(io)?,
            Missing::Refuse if exists(directory)? => {}
            Missing::Refuse => return Err(Error::NoDatabase { path: directory.to_owned() }),
        }
        let ownership = owner::take(directory, options.started_ms)?;
        if !path.try_exists().map_err(io)? {
            opening::create(directory, &path)?;
        }
        let (whole, noted) = opening::check(directory, &path)?;
        let failed = |source| opening::failed(directory, source);
        let inner = opening::open(&path).map_err(failed)?;
        let keyspaces = Keyspaces::new(directory, &path, noted);
        let stamps = inner.keyspace(stamp::KEYSPACE, stamp::options);
        let stamps = stamps.map_err(failed)?;
        keyspaces.note(&stamps)?;
        let order = Arc::<Mutex<()>>::default();
        let poisoned = Arc::<AtomicBool>::default();
        let memtables = Memtables::start(Closing {
            database: inner.clone(),
            order: Arc::clone(&order),
            sync: options.sync,
            poisoned: Arc::clone(&poisoned),
        });
        let memtables = memtables.map_err(io)?;
        memtables.add(&stamps, stamp::memtable_bytes(options.memtable_bytes));
        // Opening synced the journal.
        let note = whole.note(directory, stamp::last(&stamps).map_err(failed)?)?;
        let noted = match options.sync {
            SyncMode::Always => Some(Synced::open(&path, note)?),
            SyncMode::Never => None,
        };
        let journal = files::newest_journal(directory)?;
        let mark = Mark { number: note.number, journal, before: note.journal };
        Ok(Self {
            shared: Arc::new(Shared {
                memtables,
                inner,
                directory: directory.to_owned(),
                sync: options.sync,
                memtable_bytes: options.memtable_bytes,
                stamps,
                keyspaces,
                order,
                group: GroupSync::after(note.number),
                noted,
                mark: Mutex::new(mark),
                roles: Roles::default(),
                crash: options.crash_at.map(crash::Armed::new),
                poisoned,
                naming: Once::new(),
                _ownership: ownership,
            }),
        })
    }

    /// The library's handle, for the two adapters. Keyspaces are opened with [`Database::keyspace`] only, which
    /// notes them.
    #[must_use]
    pub fn inner(&self) -> &fjall::Database {
        &self.shared.inner
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Takes a part of the database for oneself, until the [`Role`] is dropped.
    ///
    /// # Errors
    /// [`Error::Taken`] when somebody in this process has it.
    pub fn role(&self, name: &'static str) -> Result<Role, Error> {
        self.shared.roles.take(name).ok_or(Error::Taken { name })
    }

    /// The journal of all that is written here.
    #[must_use]
    pub fn journal(&self) -> JournalId {
        JournalId(Arc::as_ptr(&self.shared).addr())
    }

    /// When the journal is synced.
    #[must_use]
    pub fn sync_mode(&self) -> SyncMode {
        self.shared.sync
    }

    /// Opens or creates a keyspace.
    ///
    /// # Errors
    /// When the database cannot do it.
    pub fn keyspace(&self, name: &str) -> Result<Keyspace, Error> {
        let Shared { inner, keyspaces, memtable_bytes, .. } = &*self.shared;
        let bytes = memtable_bytes.unwrap_or(MEMTABLE_BYTES);
        let merged = Leveled::default().with_table_target_size(TABLE_BYTES);
        let options = || {
            let options = KeyspaceCreateOptions::default().max_memtable_size(memtables::NEVER);
            options.compaction_strategy(Arc::new(merged.clone()))
        };
        let keyspace = inner.keyspace(name, options).map_err(|source| self.failed(source))?;
        keyspaces.note(&keyspace)?;
        self.shared.memtables.add(&keyspace, bytes);
        Ok(keyspace)
    }

    /// An empty batch, to be filled and given to [`Database::write`].
    #[must_use]
    pub fn batch(&self) -> OwnedWriteBatch {
        self.shared.inner.batch().durability(match self.shared.sync {
            SyncMode::Always => Some(PersistMode::Buffer),
            SyncMode::Never => None,
        })
    }

    /// Writes a batch, all or nothing. It survives the death of the process, and the death of the
    /// machine only after [`Database::sync`] or with a later write that does.
    ///
    /// # Errors
    /// When the disk refuses it: from then on the database takes no more writes.
    pub fn write(&self, mut batch: OwnedWriteBatch) -> Result<Ticket, Error> {
        let Shared { inner, stamps, order, group, memtables, .. } = &*self.shared;
        if batch.is_empty() {
            return Ok(Ticket(group.last()));
        }
        // Asked only while there is no room: the library says then whether it takes no more writes.
        let check = || inner.persist(PersistMode::Buffer);
        memtables.wait_for_room(check).map_err(|source| self.refused(source))?;
        // The library has a lock of its own around the journal, and nobody else to write to it.
        let held = order.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp { number: group.last() + 1, seqno_min: inner.seqno() };
        batch.insert(stamps, stamp::KEY, stamp.encode());
        batch.commit().map_err(|source| self.refused(source))?;
        let ticket = Ticket(group.written());
        drop(held);
        memtables.written();
        Ok(ticket)
    }

    /// Makes a write and all before it durable. Callers at the same time share one sync.
    ///
    /// # Errors
    /// When the disk refuses it: from then on the database takes no more writes.
    pub fn sync(&self, ticket: Ticket) -> Result<(), Error> {
        match self.shared.sync {
            SyncMode::Never => Ok(()),
            SyncMode::Always => self.shared.sync(ticket).map_err(|source| self.refused(source)),
        }
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    /// As [`Database::sync`].
    pub fn sync_all(&self) -> Result<(), Error> {
        self.sync(Ticket(self.shared.group.last()))
    }

    /// Aborts the process if this is the passing that a test asked for.
    #[inline]
    pub fn pass(&self, point: crash::Point) {
        if let Some(armed) = &self.shared.crash {
            armed.pass(point);
        }
    }

    /// Whether the database takes no more writes, as after one that its disk refused. Nothing but opening it again,
    /// once its disk has room, mends that.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::Relaxed)
    }

    /// After an error of a write or a sync the library takes no more writes, and says so to the next that asks.
    fn refused(&self, source: fjall::Error) -> Error {
        self.shared.poisoned.store(true, Ordering::Relaxed);
        self.failed(source)
    }

    /// The library's error, with the directory and what to do about it.
    #[must_use]
    pub fn failed(&self, source: fjall::Error) -> Error {
        if matches!(source, fjall::Error::Poisoned) {
            self.shared.poisoned.store(true, Ordering::Relaxed);
        }
        let directory = &self.shared.directory;
        if opening::may_be_a_table(&source) {
            // All of them are read for it, which nobody who is answering somebody can wait for.
            self.shared.naming.call_once(|| {
                let directory = directory.clone();
                std::thread::spawn(move || {
                    if let Some(table) = manifests::damaged_table(&directory) {
                        tracing::error!(table = %table.display(), "a table of the database is damaged");
                    }
                });
            });
        }
        Error::database(directory, source)
    }
}

impl Shared {
    fn sync(&self, ticket: Ticket) -> Result<(), fjall::Error> {
        self.group.sync(ticket.0, |covered| {
            self.inner.persist(PersistMode::SyncAll)?;
            if let Some(noted) = &self.noted {
                let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
                noted.note(Note { number: covered, journal: mark.journal_of(covered) });
                if covered >= mark.number + MARK_EVERY {
                    self.advance(&mut mark);
                }
            }
            Ok(())
        })
    }

    /// Goes on to the last batch and the journal of the moment, if the system says which that is.
    fn advance(&self, mark: &mut Mark) {
        // So that no batch is on its way into a journal while the newest one is looked up.
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(journal) = files::newest_journal(&self.directory) {
            *mark = Mark { number: self.group.last(), journal, before: Some(mark.journal) };
        }
    }
}

impl Drop for Shared {
    /// What was written and never synced is synced by the library when it closes; here it is noted, too.
    fn drop(&mut self) {
        if self.noted.is_some()
            && !self.poisoned.load(Ordering::Relaxed)
            && let Err(error) = self.sync(Ticket(self.group.last()))
        {
            tracing::warn!(%error, "the journal is not synced");
        }
    }
}
