use std::sync::Arc;

use fold::{Head, StateKey};
use record::{LaneId, Offset, Partition};

/// What one commit of a published lane changed.
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
    /// Changed states; `None`: removed.
    pub states: Arc<[(StateKey, Option<Vec<u8>>)]>,
}
