//! What a commit writes, and what memory may forget after it.

use super::{Changes, LanePartition, StateKey, key, table::Table};
use crate::{
    aggregate::Cell,
    prefetch::prefetch,
    state::{encode_cells, put_header},
};
use record::EventTime;

/// States that are asked of the memory together, while those before are encoded: few enough that they stay in the
/// cache until it is their turn.
const BLOCK: usize = 16;

impl LanePartition {
    /// What changed since the last call, for a commit; the memory keeps the states.
    pub fn take_changes(&mut self) -> Changes {
        let (mut states, mut scratch) = (Vec::new(), Vec::new());
        for is_stream in [true, false] {
            let dirty = self.table_mut(is_stream).take_dirty();
            states.reserve(dirty.len());
            let mut blocks = dirty.chunks(BLOCK).peekable();
            self.prefetch_states(is_stream, blocks.peek().copied().unwrap_or_default());
            while let Some(slots) = blocks.next() {
                self.prefetch_states_elsewhere(is_stream, slots);
                self.prefetch_states(is_stream, blocks.peek().copied().unwrap_or_default());
                for slot in slots {
                    scratch.clear();
                    self.encode(is_stream, *slot, &mut scratch);
                    let key = &self.table(is_stream).entry(*slot).key;
                    // A copy is as long as it has to be.
                    states.push((
                        StateKey::of(kind(is_stream), key.as_bytes()),
                        Some(scratch.to_vec()),
                    ));
                    self.account(is_stream, *slot);
                }
            }
        }
        states.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Changes { head: self.head.clone(), states }
    }

    /// Drops the least recently used clean states until about `bytes_max` bytes are held.
    pub fn evict(&mut self, bytes_max: usize) {
        if self.bytes <= bytes_max {
            return;
        }
        // A little more than asked for, so that not every batch sorts all keys.
        let target = bytes_max - bytes_max / 8;
        let mut clean: Vec<(u64, bool, u32)> = Vec::new();
        for (is_stream, table) in [(true, &self.streams), (false, &self.entities)] {
            let used = |slot: u32| table.entry(slot).used;
            clean.extend(table.clean().into_iter().map(|slot| (used(slot), is_stream, slot)));
        }
        clean.sort_unstable();
        for (_, is_stream, slot) in clean {
            if self.bytes <= target {
                return;
            }
            self.forget(is_stream, slot);
        }
    }

    /// Bytes that the states in memory take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Canonical bytes of one key's state in memory, if memory holds it and it is not empty.
    #[must_use]
    pub fn state(&self, key: &StateKey) -> Option<Vec<u8>> {
        let (kind, text) = key.parts()?;
        let is_stream = kind == key::STREAM;
        let table = self.table(is_stream);
        let slot = table.find_text(text)?;
        let encoded = || {
            let mut bytes = Vec::new();
            self.encode(is_stream, slot, &mut bytes);
            bytes
        };
        table.entry(slot).present.then(encoded)
    }

    fn encode(&self, is_stream: bool, slot: u32, out: &mut Vec<u8>) {
        let slot = slot as usize;
        let identities = is_stream.then(|| self.admission.value(slot, 0));
        let greatest = identities.map_or_else(|| self.greatest[slot], |seen| seen.greatest());
        put_header(greatest, out);
        if !is_stream || self.plan.stream_keyed {
            encode_cells(&self.plan, self.cells.row(slot), greatest, out);
        }
        if let Some(identities) = identities {
            identities.encode(self.plan.lateness_us, out);
        }
    }

    /// Asks for what encoding looks at first …
    fn prefetch_states(&self, is_stream: bool, slots: &[u32]) {
        for slot in slots {
            let at = *slot as usize;
            prefetch(self.table(is_stream).entry(*slot));
            if is_stream {
                prefetch(self.admission.value(at, 0));
            }
            if !is_stream || self.plan.stream_keyed {
                self.cells.row(at).iter().for_each(prefetch::<Cell>);
            }
        }
    }

    /// … and for what that leads to.
    fn prefetch_states_elsewhere(&self, is_stream: bool, slots: &[u32]) {
        for slot in slots {
            let at = *slot as usize;
            if is_stream {
                self.admission.value(at, 0).prefetch_elsewhere();
            }
            if !is_stream || self.plan.stream_keyed {
                self.cells.row(at).iter().for_each(Cell::prefetch_elsewhere);
            }
        }
    }

    fn table(&self, is_stream: bool) -> &Table {
        if is_stream { &self.streams } else { &self.entities }
    }

    fn table_mut(&mut self, is_stream: bool) -> &mut Table {
        if is_stream { &mut self.streams } else { &mut self.entities }
    }

    /// Measures what a slot takes in memory.
    pub(super) fn account(&mut self, is_stream: bool, slot: u32) {
        const ENTRY_BYTES: usize = 128;
        let at = slot as usize;
        let mut bytes = ENTRY_BYTES;
        if is_stream {
            bytes += self.admission.value(at, 0).heap_bytes();
        }
        if !is_stream || self.plan.stream_keyed {
            let heap = self.cells.row(at).iter().map(Cell::heap_bytes).sum::<usize>();
            bytes += self.plan.slots.len() * size_of::<Cell>() + heap;
        }
        let table = if is_stream { &mut self.streams } else { &mut self.entities };
        let entry = table.entry_mut(slot);
        self.bytes = self.bytes + bytes - entry.bytes;
        entry.bytes = bytes;
    }

    fn forget(&mut self, is_stream: bool, slot: u32) {
        let at = slot as usize;
        if is_stream {
            self.admission.row_mut(at)[0] = Default::default();
        }
        if !is_stream || self.plan.stream_keyed {
            self.greatest[at] = EventTime::MIN;
            self.cells.put(at, self.plan.cells());
        }
        let table = if is_stream { &mut self.streams } else { &mut self.entities };
        self.bytes -= table.entry(slot).bytes;
        table.remove(slot);
    }
}

fn kind(is_stream: bool) -> u8 {
    if is_stream { key::STREAM } else { key::ENTITY }
}
