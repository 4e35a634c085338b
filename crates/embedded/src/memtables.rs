//! Rotates the library's memtables when they are full, and frees them where nobody waits for it.
//!
//! The library asks its own worker to rotate a full memtable, again with each write, through a queue of 1,000
//! places that the same worker puts its next task into: if it comes to the first request when the queue is full,
//! because it was busy merging tables, it waits for itself, and nothing is written to tables ever again
//! (<https://github.com/fjall-rs/fjall/pull/323>). So it is told that they are [never](NEVER) full, and a thread
//! here rotates them.
//!
//! When a memtable was written as a table, the library drops it under a lock that every write and read of the
//! keyspace needs, and a write that waits for it holds the journal: to free 16 MiB entry by entry takes tens of
//! milliseconds. So the thread has a reference to each of them as well, and it is this one that is dropped last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use fjall::{AbstractTree as _, Keyspace};

/// Bytes at which the library is to ask for a rotation by itself.
pub(crate) const NEVER: u64 = u64::MAX;

/// The thread, and what it looks after. Must be dropped before the database is closed.
pub(crate) struct Memtables {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    watched: RwLock<Vec<Watched>>,
    over: AtomicBool,
}

#[derive(Clone)]
struct Watched {
    keyspace: Keyspace,
    /// A memtable with more bytes is full.
    bytes_max: u64,
}

impl Memtables {
    /// # Errors
    /// When the system has no thread for it.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("memtables".to_owned())
            .spawn(move || of_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Looks after a keyspace's memtables too, which are full at `bytes_max` bytes.
    pub(crate) fn add(&self, keyspace: &Keyspace, bytes_max: u64) {
        let mut watched = self.shared.watched.write().unwrap_or_else(PoisonError::into_inner);
        if watched.iter().all(|known| known.keyspace.id() != keyspace.id()) {
            watched.push(Watched { keyspace: keyspace.clone(), bytes_max });
            drop(watched);
            self.wake();
        }
    }

    /// Something was written.
    pub(crate) fn written(&self) {
        let watched = self.shared.watched.read().unwrap_or_else(PoisonError::into_inner);
        if watched.iter().any(Watched::is_full) {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Memtables {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        self.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that rotates memtables panicked");
        }
    }
}

impl Watched {
    fn is_full(&self) -> bool {
        self.keyspace.tree.active_memtable().size() > self.bytes_max
    }
}

impl Shared {
    fn run(&self) {
        let mut held = Vec::new();
        while !self.over.load(Ordering::Acquire) {
            // Not locked while it waits for the journal: whoever has that asks for it after a write.
            let watched = self.watched.read().unwrap_or_else(PoisonError::into_inner).clone();
            for one in &watched {
                if one.is_full()
                    && let Err(error) = one.keyspace.rotate_memtable()
                {
                    // Writers are told by the library.
                    tracing::warn!(%error, "a full memtable is not rotated");
                }
                let active = one.keyspace.tree.active_memtable();
                if !held.iter().any(|known| Arc::ptr_eq(known, &active)) {
                    held.push(active);
                }
            }
            // Whoever has the last reference is alone with it: nobody can get another one.
            held.retain(|memtable| Arc::strong_count(memtable) > 1);
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::time::Duration;

    use crate::{Database, Options};

    use super::*;

    fn soon(what: &str, mut is: impl FnMut() -> bool) {
        let came = (0..3_000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            is()
        });
        assert!(came, "{what}");
    }

    /// Far more writes than the library's queue has places, while its worker merges tables.
    #[test]
    fn full_memtables_become_tables_and_are_freed_however_many_writes_come() {
        let root = tempfile::tempdir().unwrap();
        let options = Options { memtable_bytes: Some(100_000), ..Options::default() };
        let database = Database::open_with(root.path(), options).unwrap();
        let keyspace = database.keyspace("some").unwrap();
        let active = || Arc::downgrade(&keyspace.tree.active_memtable());
        soon("the active one is held too", || active().strong_count() == 2);
        let mut seen: Vec<Weak<_>> = Vec::new();
        for key in 0u32..60_000 {
            let mut batch = database.batch();
            batch.insert(&keyspace, key.to_be_bytes(), [7; 1_000]);
            database.write(batch).unwrap();
            if !seen.iter().any(|known| Weak::ptr_eq(known, &active())) {
                seen.push(active());
            }
            seen.retain(|known| known.strong_count() > 0);
            assert!(seen.len() < 100, "{} memtables after {key} writes", seen.len());
            assert!(keyspace.tree.active_memtable().size() < 20_000_000, "stuck at {key}");
        }
        soon("all are tables but the active one", || keyspace.sealed_memtable_count() == 0);
        assert_eq!(keyspace.len().unwrap(), 60_000);
    }
}
