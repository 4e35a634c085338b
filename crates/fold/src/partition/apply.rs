//! Judging and folding a batch.

use std::sync::Arc;

use definitions::{Columns, Reason};
use record::{EventTime, Offset};

use super::LanePartition;
use crate::{
    Identities, Inputs, Place, Prepared, Verdict, Watermark,
    aggregate::{self, Column, Row},
    prepared::Keys,
};

const UNRESOLVED: u32 = u32::MAX;

/// A row that the watermark let pass.
struct Candidate {
    row: u32,
    at: EventTime,
}

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
        let candidates = self.pass_watermark(prepared, columns, &mut verdicts);
        let rows = self.pass_identities(prepared, &candidates, first, &mut verdicts);
        self.fold_rows(columns, &rows);
        verdicts.iter().for_each(|(_, verdict)| self.head.ledger.count(*verdict));
        if let Some(last) = batch.offsets[first..].last() {
            self.head.next = Offset(last.0 + 1);
        }
        verdicts
    }

    /// Rejections, future, late: by the partition's prefix.
    fn pass_watermark(
        &mut self,
        prepared: &Prepared<'_>,
        columns: &Columns,
        verdicts: &mut [(usize, Verdict)],
    ) -> Vec<Candidate> {
        let batch = prepared.batch();
        let first = batch.offsets.len() - verdicts.len();
        for rejection in columns.rejections.iter().chain(&batch.rejections) {
            if rejection.row >= first {
                verdicts[rejection.row - first].1 = Verdict::DeadLettered(rejection.reason);
            }
        }
        let streams = prepared.keys(self.lane.source.key);
        let entities = prepared.keys(self.lane.entity_column);
        let mut watermark = Watermark::new(&self.lane.source, self.head.watermark);
        let mut candidates = Vec::with_capacity(verdicts.len());
        for (row, verdict) in verdicts {
            if *verdict != Verdict::Applied {
                continue;
            }
            if entities.of_row[*row] == Keys::NONE || streams.of_row[*row] == Keys::NONE {
                *verdict = Verdict::DeadLettered(Reason::MissingKey);
                continue;
            }
            match watermark.judge(batch.event_times[*row], batch.append_times[*row]) {
                Ok(at) => candidates.push(Candidate { row: *row as u32, at }),
                Err(refused) => *verdict = refused,
            }
        }
        self.head.watermark = watermark.at();
        candidates
    }

    /// Duplicates and floods, by stream key; gives the admitted rows with their entities.
    fn pass_identities(
        &mut self,
        prepared: &Prepared<'_>,
        candidates: &[Candidate],
        first: usize,
        verdicts: &mut [(usize, Verdict)],
    ) -> Vec<Row> {
        let batch = prepared.batch();
        let streams = prepared.keys(self.lane.source.key);
        let entities = prepared.keys(self.lane.entity_column);
        let mut stream_slots = vec![UNRESOLVED; streams.distinct.len()];
        let mut entity_slots = vec![UNRESOLVED; entities.distinct.len()];
        let mut rows = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let row = candidate.row as usize;
            let key = streams.of_row[row];
            let stream = self.resolve(true, streams, key, &mut stream_slots);
            let verdict = self.admission[stream as usize].judge(
                prepared.identity(row),
                batch.event_times[row],
                candidate.at,
                self.plan.lateness_us,
            );
            if verdict != Verdict::Applied {
                verdicts[row - first].1 = verdict;
                continue;
            }
            self.streams.touch(stream);
            let entity = if self.plan.stream_keyed {
                stream
            } else {
                let entity = self.resolve(false, entities, entities.of_row[row], &mut entity_slots);
                self.entities.touch(entity);
                entity
            };
            let greatest = &mut self.greatest[entity as usize];
            *greatest = (*greatest).max(candidate.at);
            let place =
                Place { at: candidate.at, partition: self.partition, offset: batch.offsets[row] };
            rows.push(Row { row: candidate.row, key: entity, place });
        }
        rows
    }

    fn fold_rows(&mut self, columns: &Columns, rows: &[Row]) {
        let plan = Arc::clone(&self.plan);
        let inputs = Inputs::new(&plan, columns);
        for (slot, (spec, input)) in plan.slots.iter().zip(&inputs.0).enumerate() {
            let column = Column { cells: &mut self.cells, slots: plan.slots.len(), slot };
            aggregate::fold(spec, input, rows, column);
        }
    }

    /// The slot of a batch's distinct key, looked up once per batch.
    #[inline]
    fn resolve(&mut self, is_stream: bool, keys: &Keys<'_>, key: u32, slots: &mut [u32]) -> u32 {
        let slot = slots[key as usize];
        if slot != UNRESOLVED {
            return slot;
        }
        let (hash, text) = (keys.distinct[key as usize].hash, keys.text(key));
        let slot =
            if is_stream { self.stream_slot(hash, text) } else { self.entity_slot(hash, text) };
        let table = if is_stream { &mut self.streams } else { &mut self.entities };
        table.entries[slot as usize].used = self.batches;
        slots[key as usize] = slot;
        slot
    }

    /// The slot of a stream key, made empty if memory does not hold it.
    pub(super) fn stream_slot(&mut self, hash: u64, key: &str) -> u32 {
        let (slot, is_new) = self.streams.find_or_insert(hash, key);
        if is_new {
            if slot as usize == self.admission.len() {
                self.admission.push(Identities::default());
            } else {
                self.admission[slot as usize] = Identities::default();
            }
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
            self.cells.extend(self.plan.cells());
            return;
        }
        self.greatest[slot] = EventTime::MIN;
        let cells = &mut self.cells[slot * self.plan.slots.len()..];
        cells.iter_mut().zip(self.plan.cells()).for_each(|(cell, empty)| *cell = empty);
    }
}
