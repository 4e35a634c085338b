//! One entity's state, as read back from its bytes.

use definitions::Lane;
use record::EventTime;

use crate::{Embedding, Error, Value};

/// The features' state of one entity (without admission), merged from as many partials as were read.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityState {
    greatest: EventTime,
}

impl EntityState {
    /// Decodes what [`crate::LanePartition`] wrote under an entity's key.
    ///
    /// # Errors
    /// Damaged bytes, or of another version.
    pub fn decode(lane: &Lane, bytes: &[u8]) -> Result<Self, Error> {
        let _ = (lane, bytes);
        unimplemented!()
    }

    /// The state of an entity that nothing was ever seen of.
    #[must_use]
    pub fn empty(lane: &Lane) -> Self {
        let _ = lane;
        unimplemented!()
    }

    /// Folds another partial of the same entity in; associative and commutative.
    pub fn merge(&mut self, other: &Self) {
        let _ = other;
        unimplemented!()
    }

    /// Greatest effective time among the entity's events; [`EventTime::MIN`] if there are none.
    #[must_use]
    pub fn greatest(&self) -> EventTime {
        self.greatest
    }

    /// One value per feature of the lane, in its order, at `at`, which must not lie before
    /// [`EntityState::greatest`] (see [`read_time`]). Past the TTL it gives the defaults. Interest
    /// vectors need an embedding and are null without one.
    #[must_use]
    pub fn values(
        &self,
        lane: &Lane,
        at: EventTime,
        embedding: Option<&dyn Embedding>,
    ) -> Vec<Value> {
        let _ = (lane, at, embedding);
        unimplemented!()
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
