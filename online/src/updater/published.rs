use std::sync::Arc;

use fold::{Head, StateKey};
use record::{LaneId, Offset, Partition};

/// States that a commit changed, by key; `None`: removed.
pub type States = Arc<[(StateKey, Option<Vec<u8>>)]>;

/// What one commit of an item lane changed.
#[derive(Debug, Clone)]
pub struct Published {
    /// Lane.
    pub lane: LaneId,
    /// Partition.
    pub partition: Partition,
    /// Position that the commit went on from; `None`: it was the first.
    pub previous: Option<Offset>,
    /// The head after it.
    pub head: Head,
    /// Changed states.
    pub states: States,
}
