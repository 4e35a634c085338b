//! Judging and folding a batch: stage by stage over all rows, so that the memory that one row waits for
//! is fetched while others are worked on.
//!
//! Keys come at random, so nearly every row begins with memory that is in no cache. A stage that works on
//! a row before it goes on to the next has few such loads under way at once; hence each stage first
//! prefetches what its rows will need, in a pass that does nothing else.

use std::sync::Arc;

use definitions::{Columns, Reason};
use record::{EventTime, Offset};

use super::LanePartition;
use crate::{
    Identities, Inputs, Prepared, Verdict, Watermark,
    aggregate::{self, Cell, Column, Row},
    prefetch::prefetch,
    prepared::{Key, Keys},
};

/// Not looked up; not a slot.
const UNUSED: u32 = u32::MAX;
/// To be looked up; not a slot.
const WANTED: u32 = u32::MAX - 1;
/// Rows that are folded together: few enough that their cells stay in the cache from the first slot to
/// the last.
const BLOCK: usize = 256;

impl LanePartition {
    /// [`LanePartition::apply`] of a batch that is prepared already: its hashes are shared by the lanes of
    /// the source.
    ///
    /// # Panics
    /// When batch and columns are not of this lane's source and partition.
    pub fn apply_prepared(
        &mut self,
        prepared: &Prepared<'_>,
        columns: &Columns,
    ) -> Vec<(usize, Verdict)> {
        let batch = prepared.batch();
        assert!(batch.partition == self.partition, "a batch goes to its own partition");
        let first = batch.offsets.partition_point(|offset| *offset < self.head.next);
        self.batches += 1;
        // What no later stage overrules was applied.
        let mut verdicts: Vec<(usize, Verdict)> =
            (first..batch.offsets.len()).map(|row| (row, Verdict::Applied)).collect();
        let mut rows = std::mem::take(&mut self.rows);
        self.pass_watermark(prepared, columns, &mut verdicts, &mut rows);
        self.pass_identities(prepared, first, &mut verdicts, &mut rows);
        self.find_entities(prepared, &mut rows);
        self.fold_rows(columns, &rows);
        rows.clear();
        self.rows = rows;
        verdicts.iter().for_each(|(_, verdict)| self.head.ledger.count(*verdict));
        if let Some(last) = batch.offsets[first..].last() {
            self.head.next = Offset(last.0 + 1);
        }
        verdicts
    }

    /// Rejections, future, late: by the partition's prefix. Rows that pass get their stream key's index.
    fn pass_watermark(
        &mut self,
        prepared: &Prepared<'_>,
        columns: &Columns,
        verdicts: &mut [(usize, Verdict)],
        rows: &mut Vec<Row>,
    ) {
        let batch = prepared.batch();
        let first = batch.offsets.len() - verdicts.len();
        for rejection in columns.rejections.iter().chain(&batch.rejections) {
            if rejection.row >= first {
                verdicts[rejection.row - first].1 = Verdict::DeadLettered(rejection.reason);
            }
        }
        let streams = &prepared.keys(self.lane.source.key).of_row;
        let entities = &prepared.keys(self.lane.entity_column).of_row;
        let mut watermark = Watermark::new(&self.lane.source, self.head.watermark);
        for (row, verdict) in verdicts {
            let row = *row;
            if *verdict != Verdict::Applied {
                continue;
            }
            let key = streams[row];
            if key == Keys::NONE || entities[row] == Keys::NONE {
                *verdict = Verdict::DeadLettered(Reason::MissingKey);
                continue;
            }
            match watermark.judge(batch.event_times[row], batch.append_times[row]) {
                Ok(at) => rows.push(Row { row: row as u32, key, at, offset: batch.offsets[row] }),
                Err(refused) => *verdict = refused,
            }
        }
        self.head.watermark = watermark.at();
    }

    /// Duplicates and floods, by stream key. Rows that pass get their stream key's slot.
    fn pass_identities(
        &mut self,
        prepared: &Prepared<'_>,
        first: usize,
        verdicts: &mut [(usize, Verdict)],
        rows: &mut Vec<Row>,
    ) {
        let batch = prepared.batch();
        let slots = self.find_slots(true, prepared.keys(self.lane.source.key), rows);
        let lateness_us = self.plan.lateness_us;
        rows.iter_mut().for_each(|row| row.key = slots[row.key as usize]);
        let admission = |row: &Row| self.admission.value(row.key as usize, 0);
        rows.iter().for_each(|row| prefetch(admission(row)));
        rows.iter().for_each(|row| admission(row).prefetch_elsewhere());
        rows.retain_mut(|row| {
            let index = row.row as usize;
            let verdict = self.admission.row_mut(row.key as usize)[0].judge(
                prepared.identity(index),
                batch.event_times[index],
                row.at,
                lateness_us,
            );
            if verdict != Verdict::Applied {
                verdicts[index - first].1 = verdict;
                return false;
            }
            self.streams.touch(row.key);
            true
        });
    }

    /// Gives the admitted rows their entity's slot, and the entities their greatest time.
    fn find_entities(&mut self, prepared: &Prepared<'_>, rows: &mut [Row]) {
        if self.plan.stream_keyed {
            // The slot is the stream key's, whose admission knows the greatest time.
            return;
        }
        let keys = prepared.keys(self.lane.entity_column);
        rows.iter_mut().for_each(|row| row.key = keys.of_row[row.row as usize]);
        let slots = self.find_slots(false, keys, rows);
        for row in rows {
            row.key = slots[row.key as usize];
            self.entities.touch(row.key);
            let greatest = &mut self.greatest[row.key as usize];
            *greatest = (*greatest).max(row.at);
        }
    }

    /// Slot by slot in blocks of rows. A block's cells are asked for while the one before is folded, and what
    /// they point at when its own turn comes.
    fn fold_rows(&mut self, columns: &Columns, rows: &[Row]) {
        let plan = Arc::clone(&self.plan);
        let inputs = Inputs::new(&plan, columns);
        let slots = plan.slots.len();
        let is_elsewhere = |slot: &usize| plan.slots[*slot].kind.is_elsewhere();
        let elsewhere: Vec<usize> = (0..slots).filter(is_elsewhere).collect();
        let mut blocks = rows.chunks(BLOCK).peekable();
        self.prefetch_cells(blocks.peek().copied().unwrap_or_default());
        while let Some(rows) = blocks.next() {
            for row in rows {
                let cells = self.cells.row(row.key as usize);
                elsewhere.iter().for_each(|slot| cells[*slot].prefetch_elsewhere());
            }
            // A share of the next block with each slot: all at once is more than can be under way.
            let next = blocks.peek().copied().unwrap_or_default();
            let mut shares = next.chunks(next.len().div_ceil(slots.max(1)).max(1));
            for (slot, (spec, input)) in plan.slots.iter().zip(&inputs.0).enumerate() {
                self.prefetch_cells(shares.next().unwrap_or_default());
                let chunks = self.cells.as_mut();
                let column = Column { chunks, slots, slot, partition: self.partition };
                aggregate::fold(spec, input, rows, column);
            }
        }
    }

    fn prefetch_cells(&self, rows: &[Row]) {
        rows.iter().flat_map(|row| self.cells.row(row.key as usize)).for_each(prefetch::<Cell>);
    }

    /// Slots by index of distinct key, for the keys that rows name; each is looked up once per batch.
    fn find_slots(&mut self, is_stream: bool, keys: &Keys<'_>, rows: &[Row]) -> Vec<u32> {
        let mut slots = vec![UNUSED; keys.distinct.len()];
        rows.iter().for_each(|row| slots[row.key as usize] = WANTED);
        let table = if is_stream { &self.streams } else { &self.entities };
        let likely = |(key, slot): (&Key, &u32)| match *slot {
            WANTED => table.likely(key.hash),
            _ => None,
        };
        let likely: Vec<Option<u32>> = keys.distinct.iter().zip(&slots).map(likely).collect();
        likely.iter().flatten().for_each(|slot| prefetch(table.entry(*slot)));
        for (index, slot) in slots.iter_mut().enumerate() {
            if *slot != WANTED {
                continue;
            }
            let (hash, text) = (keys.distinct[index].hash, keys.text(index as u32));
            let table = if is_stream { &self.streams } else { &self.entities };
            *slot = match likely[index].filter(|slot| table.is_of(*slot, text)) {
                Some(slot) => slot,
                None if is_stream => self.stream_slot(hash, text),
                None => self.entity_slot(hash, text),
            };
            let table = if is_stream { &mut self.streams } else { &mut self.entities };
            table.entry_mut(*slot).used = self.batches;
        }
        slots
    }

    /// The slot of a stream key, made empty if memory does not hold it.
    pub(super) fn stream_slot(&mut self, hash: u64, key: &str) -> u32 {
        let (slot, is_new) = self.streams.find_or_insert(hash, key);
        if is_new {
            self.admission.put(slot as usize, std::iter::once(Identities::default()));
            if self.plan.stream_keyed {
                self.empty_cells(slot);
            }
        }
        slot
    }

    /// The slot of an entity, made empty if memory does not hold it.
    pub(super) fn entity_slot(&mut self, hash: u64, key: &str) -> u32 {
        let (slot, is_new) = self.entities.find_or_insert(hash, key);
        if is_new {
            self.empty_cells(slot);
        }
        slot
    }

    fn empty_cells(&mut self, slot: u32) {
        let slot = slot as usize;
        if slot == self.greatest.len() {
            self.greatest.push(EventTime::MIN);
        } else {
            self.greatest[slot] = EventTime::MIN;
        }
        self.cells.put(slot, self.plan.cells());
    }
}
