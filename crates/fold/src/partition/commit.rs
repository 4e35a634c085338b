//! What a commit writes, and what memory may forget after it.

use super::{Changes, LanePartition, StateKey, key};
use crate::{
    aggregate::Cell,
    state::{encode_cells, put_header},
};
use record::EventTime;

impl LanePartition {
    /// What changed since the last call, for a commit; the memory keeps the states.
    pub fn take_changes(&mut self) -> Changes {
        let mut states = Vec::new();
        for is_stream in [true, false] {
            let table = if is_stream { &mut self.streams } else { &mut self.entities };
            for slot in table.take_dirty() {
                let bytes = self.encode(is_stream, slot);
                let table = if is_stream { &self.streams } else { &self.entities };
                let entry = table.entry(slot);
                states.push((StateKey::of(kind(is_stream), entry.key.as_str()), Some(bytes)));
                self.account(is_stream, slot);
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
        let table = if is_stream { &self.streams } else { &self.entities };
        let slot = table.find_text(text)?;
        table.entry(slot).present.then(|| self.encode(is_stream, slot))
    }

    fn encode(&self, is_stream: bool, slot: u32) -> Vec<u8> {
        let slot = slot as usize;
        let identities = is_stream.then(|| self.admission.value(slot, 0));
        let greatest = identities.map_or_else(|| self.greatest[slot], |seen| seen.greatest());
        let mut out = Vec::with_capacity(128);
        put_header(greatest, &mut out);
        if !is_stream || self.plan.stream_keyed {
            encode_cells(&self.plan, self.cells.row(slot), greatest, &mut out);
        }
        if let Some(identities) = identities {
            identities.encode(self.plan.lateness_us, &mut out);
        }
        out
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
