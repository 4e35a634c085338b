//! One entity's state, as read back from its bytes.

use std::sync::Arc;

use definitions::Lane;
use record::EventTime;

use crate::{
    Embedding, Error, Identities, Plan, Value,
    aggregate::Cell,
    codec::{Reader, put_i64},
};

/// The features' state of one entity (without admission), merged from as many partials as were read.
#[derive(Debug, Clone)]
pub struct EntityState {
    pub(crate) plan: Arc<Plan>,
    pub(crate) greatest: EventTime,
    pub(crate) cells: Vec<Cell>,
}

impl EntityState {
    /// Decodes what [`crate::LanePartition`] wrote under an entity's key. Who decodes many makes one
    /// [`Plan`] and calls [`Plan::decode`].
    ///
    /// # Errors
    /// Damaged bytes, or of another version.
    pub fn decode(lane: &Lane, bytes: &[u8]) -> Result<Self, Error> {
        Self::decode_with(&Plan::new(lane), bytes)
    }

    pub(crate) fn decode_with(plan: &Arc<Plan>, bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let greatest = get_header(&mut reader)?;
        let cells = decode_cells(plan, &mut reader, greatest)?;
        if plan.stream_keyed {
            Identities::decode(&mut reader, greatest, plan.lateness_us)?;
        }
        reader.finish()?;
        Ok(Self { plan: Arc::clone(plan), greatest, cells })
    }

    /// The state of an entity that nothing was ever seen of.
    #[must_use]
    pub fn empty(lane: &Lane) -> Self {
        Self::of_nothing(&Plan::new(lane))
    }

    pub(crate) fn of_nothing(plan: &Arc<Plan>) -> Self {
        Self { plan: Arc::clone(plan), greatest: EventTime::MIN, cells: plan.cells().collect() }
    }

    /// The greatest effective time that stored bytes speak of, under whatever kind of key, without
    /// reading the rest of them. It decides whether a sweep may take the key ([`Lane::may_sweep`]).
    ///
    /// # Errors
    /// Bytes of another version, or too few.
    pub fn greatest_of(bytes: &[u8]) -> Result<EventTime, Error> {
        get_header(&mut Reader::new(bytes))
    }

    /// Folds another partial of the same entity in; associative and commutative.
    ///
    /// # Panics
    /// When the other state is of another lane.
    pub fn merge(&mut self, other: &Self) {
        assert!(*self.plan == *other.plan, "states of one lane are merged");
        self.greatest = self.greatest.max(other.greatest);
        let slots = self.plan.slots.iter();
        for ((slot, mine), theirs) in slots.zip(&mut self.cells).zip(&other.cells) {
            slot.kind.merge(mine, theirs);
        }
    }

    /// Greatest effective time among the entity's events; [`EventTime::MIN`] if there are none.
    #[must_use]
    pub fn greatest(&self) -> EventTime {
        self.greatest
    }

    /// Canonical bytes of the features' state: equal sets of events give equal bytes. They are what is
    /// stored where the lane is not keyed by the stream key.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(self.greatest, &mut out);
        encode_cells(&self.plan, &self.cells, self.greatest, &mut out);
        out
    }

    /// One value per feature of the lane, in its order, at `at`, which must not lie before
    /// [`EntityState::greatest`] (see [`read_time`]). Past the TTL it gives the defaults. Interest
    /// vectors need an embedding and are null without one.
    ///
    /// # Panics
    /// When the state is of another lane.
    #[must_use]
    pub fn values(
        &self,
        lane: &Lane,
        at: EventTime,
        embedding: Option<&dyn Embedding>,
    ) -> Vec<Value> {
        assert!(lane.features.len() == self.plan.reads.len(), "a state is read with its own lane");
        self.values_at(at, embedding)
    }

    /// [`EntityState::values`] by the layout that the state was decoded with.
    #[must_use]
    pub fn values_at(&self, at: EventTime, embedding: Option<&dyn Embedding>) -> Vec<Value> {
        let plan = &*self.plan;
        let value = |read: &crate::plan::Read| {
            if read.is_expired(self.greatest, at) {
                return read.nothing();
            }
            let slot = &plan.slots[read.slot].kind;
            let value = slot.read(&self.cells[read.slot], read, self.greatest, at, embedding);
            value.unwrap_or_else(|| read.nothing())
        };
        plan.reads.iter().map(value).collect()
    }
}

/// States are equal when their canonical bytes are.
impl PartialEq for EntityState {
    fn eq(&self, other: &Self) -> bool {
        *self.plan == *other.plan && self.encode() == other.encode()
    }
}

/// `t* = max(as_of, the key's greatest et, the watermarks of the heads it was read with)`: no
/// negative ages, whatever clocks do.
#[must_use]
pub fn read_time(
    as_of: EventTime,
    state: &EntityState,
    watermarks: impl IntoIterator<Item = EventTime>,
) -> EventTime {
    watermarks.into_iter().fold(as_of.max(state.greatest()), EventTime::max)
}

const VERSION: u8 = crate::VERSION as u8;

pub(crate) fn put_header(greatest: EventTime, out: &mut Vec<u8>) {
    out.push(VERSION);
    put_i64(out, greatest.0);
}

pub(crate) fn get_header(reader: &mut Reader<'_>) -> Result<EventTime, Error> {
    let found = reader.u8()?;
    if found != VERSION {
        return Err(Error::Version { found: u32::from(found), expected: crate::VERSION });
    }
    reader.i64().map(EventTime)
}

pub(crate) fn encode_cells(plan: &Plan, cells: &[Cell], greatest: EventTime, out: &mut Vec<u8>) {
    for (at, (slot, cell)) in plan.slots.iter().zip(cells).enumerate() {
        slot.kind.encode(cell, (&plan.slots[..at], &cells[..at]), greatest, out);
    }
}

pub(crate) fn decode_cells(
    plan: &Plan,
    reader: &mut Reader<'_>,
    greatest: EventTime,
) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::with_capacity(plan.slots.len());
    for (at, slot) in plan.slots.iter().enumerate() {
        let cell = slot.kind.decode(reader, (&plan.slots[..at], &cells), greatest)?;
        cells.push(cell);
    }
    Ok(cells)
}
