//! From a key to its place in memory, and what is known of it there.

use hashbrown::HashTable;

use crate::{
    chunks::Chunks,
    prepared::hash,
    text::{Text, equal},
};

/// Keys in memory, each with a slot number; freed numbers are used again.
#[derive(Debug)]
pub(super) struct Table {
    index: HashTable<(u64, u32)>,
    entries: Chunks<Entry>,
    free: Vec<u32>,
    /// Slots that changed since the last commit, each once.
    dirty: Vec<u32>,
}

/// One cache line: nearly every look at one waits for memory.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Entry {
    pub(super) key: Text,
    hash: u64,
    /// Whether anything was ever applied to it: an entry without is known to be absent from the store.
    pub(super) present: bool,
    /// Changed since the last commit.
    dirty: bool,
    /// When it was used last, in batches.
    pub(super) used: u64,
    /// What it takes in memory, as of the last commit.
    pub(super) bytes: usize,
    live: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            entries: Chunks::new(1),
            free: Vec::new(),
            dirty: Vec::new(),
        }
    }
}

impl Table {
    /// What is known of the key that has a slot.
    #[inline]
    pub(super) fn entry(&self, slot: u32) -> &Entry {
        self.entries.value(slot as usize, 0)
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries.row_mut(slot as usize)[0]
    }

    pub(super) fn find(&self, hash: u64, key: &str) -> Option<u32> {
        let same = |&(seen, slot): &(u64, u32)| {
            seen == hash && equal(self.entry(slot).key.as_bytes(), key.as_bytes())
        };
        self.index.find(hash, same).map(|entry| entry.1)
    }

    /// The slot that a key of this hash most likely has: to be asked with [`Table::is_of`].
    pub(super) fn likely(&self, hash: u64) -> Option<u32> {
        self.index.find(hash, |seen| seen.0 == hash).map(|seen| seen.1)
    }

    /// Whether a slot is that of `key`.
    pub(super) fn is_of(&self, slot: u32, key: &str) -> bool {
        equal(self.entry(slot).key.as_bytes(), key.as_bytes())
    }

    pub(super) fn find_text(&self, key: &str) -> Option<u32> {
        self.find(hash(key.as_bytes()), key)
    }

    /// The slot of a key; `true` if it was made now and its state must be emptied.
    pub(super) fn find_or_insert(&mut self, hash: u64, key: &str) -> (u32, bool) {
        if let Some(slot) = self.find(hash, key) {
            return (slot, false);
        }
        let entry = Entry {
            key: key.into(),
            hash,
            present: false,
            dirty: false,
            used: 0,
            bytes: 0,
            live: true,
        };
        let slot = self.free.pop().unwrap_or(self.entries.len() as u32);
        self.entries.put(slot as usize, std::iter::once(entry));
        self.index.insert_unique(hash, (hash, slot), |entry| entry.0);
        (slot, true)
    }

    /// Marks a key as holding something that no commit has written yet.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32) {
        let entry = self.entry_mut(slot);
        entry.present = true;
        if !entry.dirty {
            entry.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// The slots that changed since the last call.
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.iter().for_each(|slot| self.entry_mut(*slot).dirty = false);
        dirty
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let entry = self.entry_mut(slot);
        entry.live = false;
        entry.key = Text::default();
        let hash = entry.hash;
        if let Ok(found) = self.index.find_entry(hash, |seen| seen.1 == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    /// Slots of keys that are as the store has them, the least recently used first.
    pub(super) fn clean(&self) -> Vec<u32> {
        let entries = self.entries.values().enumerate();
        let clean = entries.filter(|(_, entry)| entry.live && !entry.dirty);
        let mut slots: Vec<u32> = clean.map(|(slot, _)| slot as u32).collect();
        slots.sort_by_key(|slot| self.entry(*slot).used);
        slots
    }
}
