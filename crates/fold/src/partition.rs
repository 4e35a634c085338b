//! The state of one lane in one partition, in memory: what the updater and the batch job drive.

mod apply;
mod commit;
mod head;
mod key;
mod table;

pub use head::Head;
pub use key::StateKey;

use std::sync::Arc;

use definitions::{Columns, EventBatch, Lane};
use record::{EventTime, Partition};

use crate::{
    Error, Identities, Plan, Prepared, Verdict,
    aggregate::{Cell, Row},
    chunks::Chunks,
    codec::Reader,
    prepared::hash,
    state::{decode_cells, get_header},
};
use table::Table;

/// What a commit must write.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The head after the batches.
    pub head: Head,
    /// Changed states in key order: `None` removes the key (nothing is left of it).
    pub states: Vec<(StateKey, Option<Vec<u8>>)>,
}

/// One lane's state in one partition: admission, states in memory, what changed since the last commit.
///
/// Stream keys and entities are two tables; where the lane is keyed by the stream key the second stays
/// empty and an entity has its stream key's slot.
#[derive(Debug)]
pub struct LanePartition {
    lane: Arc<Lane>,
    plan: Arc<Plan>,
    partition: Partition,
    head: Head,
    streams: Table,
    /// By slot of `streams`.
    admission: Chunks<Identities>,
    entities: Table,
    /// By slot of the entity: its greatest effective time; where the entity is the stream key its
    /// admission knows.
    greatest: Vec<EventTime>,
    /// By slot of the entity, a value for each of the plan's slots.
    cells: Chunks<Cell>,
    /// Room for a batch's rows, kept from batch to batch.
    rows: Vec<Row>,
    /// Batches so far: the clock of "least recently used".
    batches: u64,
    /// What the keys in memory take, about.
    bytes: usize,
}

impl LanePartition {
    /// The state at `head`; states of keys come in through [`LanePartition::load`] as they are needed.
    #[must_use]
    pub fn new(lane: Arc<Lane>, partition: Partition, head: Head) -> Self {
        let plan = Plan::new(&lane);
        Self {
            cells: Chunks::new(plan.slots.len()),
            plan,
            lane,
            partition,
            head,
            streams: Table::default(),
            admission: Chunks::new(1),
            entities: Table::default(),
            greatest: Vec::new(),
            rows: Vec::new(),
            batches: 0,
            bytes: 0,
        }
    }

    /// The head as of the last applied batch.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The lane.
    #[must_use]
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// The lane's layout, for decoding states of it.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Keys that the batch touches and memory does not hold, without repetition: read them from the
    /// store and [`LanePartition::load`] them before [`LanePartition::apply`].
    #[must_use]
    pub fn missing(&self, batch: &EventBatch) -> Vec<StateKey> {
        self.missing_prepared(&Prepared::new(batch, &self.lane.source))
    }

    /// [`LanePartition::missing`] of a batch that is prepared already.
    #[must_use]
    pub fn missing_prepared(&self, batch: &Prepared<'_>) -> Vec<StateKey> {
        let mut missing = Vec::new();
        let mut look = |table: &Table, kind, column| {
            let keys = batch.keys(column);
            for (index, key) in keys.distinct.iter().enumerate() {
                let text = keys.text(index as u32);
                if table.find(key.hash, text).is_none() {
                    missing.push(StateKey::of(kind, text.as_bytes()));
                }
            }
        };
        look(&self.streams, key::STREAM, self.lane.source.key);
        if !self.plan.stream_keyed {
            look(&self.entities, key::ENTITY, self.lane.entity_column);
        }
        missing
    }

    /// Takes in a key's stored state; `None`: the store holds nothing under it.
    ///
    /// # Errors
    /// Damaged bytes, or of another version.
    pub fn load(&mut self, key: StateKey, bytes: Option<&[u8]>) -> Result<(), Error> {
        let damaged = |what| Error::Damaged { at: 0, what };
        let (kind, text) = key.parts().ok_or(damaged("no such kind of key"))?;
        let is_stream = kind == key::STREAM;
        if !is_stream && self.plan.stream_keyed {
            return Err(damaged("an entity's key in a lane keyed by the stream key"));
        }
        let mut identities = Identities::default();
        let mut greatest = EventTime::MIN;
        let mut cells = None;
        if let Some(bytes) = bytes {
            let mut reader = Reader::new(bytes);
            greatest = get_header(&mut reader)?;
            if !is_stream || self.plan.stream_keyed {
                cells = Some(decode_cells(&self.plan, &mut reader, greatest)?);
            }
            if is_stream {
                identities = Identities::decode(&mut reader, greatest, self.plan.lateness_us)?;
            }
            reader.finish()?;
        }
        let hash = hash(text.as_bytes());
        let slot = if is_stream {
            let slot = self.stream_slot(hash, text);
            self.admission.row_mut(slot as usize)[0] = identities;
            slot
        } else {
            self.entity_slot(hash, text)
        };
        if let Some(cells) = cells {
            self.greatest[slot as usize] = greatest;
            self.cells.put(slot as usize, cells.into_iter());
        }
        let table = if is_stream { &mut self.streams } else { &mut self.entities };
        let entry = table.entry_mut(slot);
        entry.present = bytes.is_some();
        entry.used = self.batches;
        self.account(is_stream, slot);
        Ok(())
    }

    /// Judges each row in offset order and folds the admitted ones; rows before `head.next` are
    /// skipped (a replay). Returns one verdict per row that was not skipped, in row order.
    /// Keys that [`LanePartition::missing`] named and nobody loaded are taken as empty.
    pub fn apply(&mut self, batch: &EventBatch, columns: &Columns) -> Vec<(usize, Verdict)> {
        let source = Arc::clone(&self.lane.source);
        self.apply_prepared(&Prepared::new(batch, &source), columns)
    }
}
