use std::slice::from_mut;
use std::sync::Arc;

use record::EventTime;

use crate::{
    Embedding, EntityState, Inputs, Place, Plan, Value,
    aggregate::{self, Column, Row},
};

/// The fold of one entity, event by event: for batch, which has its rows sorted by key and reads between
/// them. Admission comes before it ([`crate::Watermark`] over the partition, [`crate::Identities`] per stream
/// key); what is pushed counts.
///
/// For event-time training push in the total order and read before each push: the read sees only events
/// strictly before.
#[derive(Debug, Clone)]
pub struct KeyFold {
    state: EntityState,
}

impl KeyFold {
    /// The fold of an entity that nothing was seen of yet.
    #[must_use]
    pub fn new(plan: &Arc<Plan>) -> Self {
        Self { state: EntityState::of_nothing(plan) }
    }

    /// Goes on from a state, such as a bootstrap's.
    #[must_use]
    pub fn resume(state: EntityState) -> Self {
        Self { state }
    }

    /// Folds one admitted row. Rows may come in any order.
    pub fn push(&mut self, inputs: &Inputs<'_>, row: usize, place: Place) {
        let EntityState { plan, greatest, cells } = &mut self.state;
        *greatest = (*greatest).max(place.at);
        let Place { at, partition, offset } = place;
        let rows = [Row { row: row as u32, key: 0, at, offset }];
        for (slot, (spec, input)) in plan.slots.iter().zip(&inputs.0).enumerate() {
            let column =
                Column { chunks: from_mut(cells), slots: plan.slots.len(), slot, partition };
            aggregate::fold(spec, input, &rows, column);
        }
    }

    /// The state so far.
    #[must_use]
    pub fn state(&self) -> &EntityState {
        &self.state
    }

    /// One value per feature at `max(at, greatest)`.
    #[must_use]
    pub fn values(&self, at: EventTime, embedding: Option<&dyn Embedding>) -> Vec<Value> {
        self.state.values_at(at.max(self.state.greatest), embedding)
    }
}
