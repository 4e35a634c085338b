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
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::{AbstractTree as _, Keyspace, PersistMode};

use crate::SyncMode;

/// Bytes at which the library is to ask for a rotation by itself. It still rotates when a journal has to go.
pub(crate) const NEVER: u64 = u64::MAX;
/// Full memtables of a keyspace that may wait to be written as tables. With two more the library would let
/// writers sleep, even if nobody is left to write them.
const SEALED_MAX: usize = 2;
/// Between two looks, while there are writes.
const LOOK: Duration = Duration::from_millis(5);
/// Between two looks, while old memtables wait to be freed.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// Between two looks of a writer that waits for room.
const WAIT: Duration = Duration::from_millis(1);

/// The thread, and what it looks after. Must be dropped before the database is closed.
pub(crate) struct Memtables {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// A memtable is so full that nothing may be written.
    crowded: AtomicBool,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    /// Something was written since the last look.
    written: bool,
    over: bool,
}

#[derive(Clone)]
struct Watched {
    keyspace: Keyspace,
    /// A memtable with more bytes is full.
    bytes_max: u64,
}

/// What it takes to close a memtable.
pub(crate) struct Closing {
    pub(crate) database: fjall::Database,
    /// Held by whoever writes.
    pub(crate) order: Arc<Mutex<()>>,
    pub(crate) sync: SyncMode,
    /// Set when the database takes no more writes.
    pub(crate) poisoned: Arc<AtomicBool>,
}

impl Closing {
    /// Closes the keyspace's memtable, and puts a new one in its place. The library may write a closed one as a
    /// table at once, and sync that: so all that is in it is synced in the journal before.
    fn close(&self, keyspace: &Keyspace) -> fjall::Result<()> {
        let sync = || match self.sync {
            SyncMode::Always => self.database.persist(PersistMode::SyncAll),
            SyncMode::Never => Ok(()),
        };
        // While writers go on, so that they wait for little.
        sync()?;
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        sync()?;
        keyspace.rotate_memtable().map(drop)
    }
}

impl Memtables {
    /// # Errors
    /// When the system has no thread for it.
    pub(crate) fn start(closing: Closing) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("memtables".to_owned())
            .spawn(move || of_thread.run(&closing))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Looks after a keyspace's memtables too, which are full at `bytes_max` bytes.
    pub(crate) fn add(&self, keyspace: &Keyspace, bytes_max: u64) {
        self.shared.change(|state| {
            if state.watched.iter().all(|known| known.keyspace.id() != keyspace.id()) {
                state.watched.push(Watched { keyspace: keyspace.clone(), bytes_max });
                state.written = true;
            }
        });
    }

    /// Something was written.
    pub(crate) fn written(&self) {
        self.shared.change(|state| state.written = true);
    }

    /// Waits while a memtable is a third more than full, because those before it are not yet tables.
    ///
    /// # Errors
    /// What `check` says, which is asked again and again: whether tables are still written.
    pub(crate) fn wait_for_room<E>(&self, check: impl Fn() -> Result<(), E>) -> Result<(), E> {
        while self.shared.crowded.load(Ordering::Acquire) {
            check()?;
            std::thread::sleep(WAIT);
        }
        Ok(())
    }
}

impl Drop for Memtables {
    fn drop(&mut self) {
        self.shared.change(|state| state.over = true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that rotates memtables panicked");
        }
    }
}

impl Watched {
    fn bytes(&self) -> u64 {
        self.keyspace.tree.active_memtable().size()
    }

    fn rotate_if_full(&self, closing: &Closing) {
        if self.bytes() > self.bytes_max
            && self.keyspace.sealed_memtable_count() < SEALED_MAX
            && let Err(error) = closing.close(&self.keyspace)
        {
            // Of a database that takes no more writes, which the next one is told too.
            let is_poisoned = closing.database.persist(PersistMode::Buffer).is_err();
            closing.poisoned.fetch_or(is_poisoned, Ordering::Relaxed);
            tracing::warn!(%error, "a full memtable is not rotated");
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let knew = state.written;
        change(&mut state);
        if !knew || state.over {
            self.changed.notify_one();
        }
    }

    fn run(&self, closing: &Closing) {
        let mut held = Vec::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.over {
            state.written = false;
            let watched = state.watched.clone();
            // Writers come here while this waits for the journal.
            drop(state);
            for one in &watched {
                for rotate in [false, true] {
                    if rotate {
                        one.rotate_if_full(closing);
                    }
                    let active = one.keyspace.tree.active_memtable();
                    if !held.iter().any(|known| Arc::ptr_eq(known, &active)) {
                        held.push(active);
                    }
                }
            }
            // Whoever has the last reference is alone with it: nobody can get another one.
            held.retain(|memtable| Arc::strong_count(memtable) > 1);
            let crowded = watched.iter().any(|one| one.bytes() > one.bytes_max / 3 * 4);
            self.crowded.store(crowded, Ordering::Release);
            state = self.wait(LOOK, |state| !state.over);
            state = match crowded || state.written {
                true => state,
                false if held.len() > watched.len() => {
                    drop(state);
                    self.wait(LOOK_AFTER, |state| !state.over && !state.written)
                }
                false => {
                    let idle = |state: &mut State| !state.over && !state.written;
                    self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn wait(
        &self,
        limit: Duration,
        idle: impl Fn(&State) -> bool,
    ) -> std::sync::MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, limit, |state| idle(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, Options};
    use std::sync::Weak;

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
            let bytes = keyspace.tree.active_memtable().size();
            assert!(bytes < 20_000_000, "{bytes} bytes in one after {key} writes");
            assert!(keyspace.sealed_memtable_count() <= SEALED_MAX + 1);
        }
        soon("all are tables but the active one", || keyspace.sealed_memtable_count() == 0);
        assert_eq!(keyspace.len().unwrap(), 60_000);
    }

    #[test]
    fn who_waits_for_room_is_told_when_there_will_be_none() {
        let memtables = Memtables { shared: Arc::default(), thread: None };
        memtables.wait_for_room(|| Err::<(), _>("not asked")).unwrap();
        memtables.shared.crowded.store(true, Ordering::Release);
        assert_eq!(memtables.wait_for_room(|| Err("no more writes")), Err("no more writes"));
        let asked = std::cell::Cell::new(0);
        let check = || {
            asked.set(asked.get() + 1);
            memtables.shared.crowded.store(asked.get() < 3, Ordering::Release);
            Ok::<_, ()>(())
        };
        memtables.wait_for_room(check).unwrap();
        assert_eq!(asked.get(), 3);
    }
}
