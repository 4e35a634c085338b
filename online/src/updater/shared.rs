use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use definitions::Lane;
use fold::Head;
use record::{AppendTime, LaneId, Offset, Partition};
use tokio::sync::{broadcast, watch};

use super::counters::Cells;
use super::interest::Embeddings;
use super::measures;
use super::published::Published;

/// How far a (lane, partition) is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whether this updater works on it; if not, the rest is what it knew last.
    pub held: bool,
    /// The committed head; `None`: nothing is committed yet.
    pub head: Option<Head>,
    /// Where this updater found it: 0 for a lane that is bootstrapped.
    pub start: Offset,
    /// The log's end when the updater started.
    pub end: Offset,
    /// Whether it has covered `end`.
    pub caught_up: bool,
    /// When the last record was appended that this updater covered; `None`: it has covered none.
    pub reached: Option<AppendTime>,
}

/// What the tasks tell and the handles see.
pub(super) struct Shared {
    pub(super) lanes: Vec<Arc<Lane>>,
    pub(super) slots: BTreeMap<(LaneId, Partition), watch::Sender<Progress>>,
    /// Where the reader of each (lane, partition) stands that is worked on: beyond the head, where the log ends
    /// in gaps.
    pub(super) read_to: BTreeMap<(LaneId, Partition), AtomicU64>,
    pub(super) counters: Cells,
    pub(super) measures: BTreeMap<LaneId, measures::Cells>,
    /// Whether the group has taken the updater in.
    pub(super) joined: watch::Sender<bool>,
    /// Whether it has ended.
    pub(super) ended: AtomicBool,
    pub(super) published: broadcast::Sender<Published>,
    pub(super) embeddings: RwLock<Arc<Embeddings>>,
}

impl Progress {
    /// First offset that is not covered.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.head.as_ref().map_or(Offset(0), |head| head.next)
    }
}

impl Shared {
    pub(super) fn slot(&self, lane: LaneId, partition: Partition) -> &watch::Sender<Progress> {
        self.slots.get(&(lane, partition)).expect("every lane has a slot for each partition")
    }

    pub(super) fn set_read_to(&self, lane: LaneId, partition: Partition, position: Offset) {
        let cell = self.read_to.get(&(lane, partition)).expect("every lane has one per partition");
        cell.store(position.0, Ordering::Relaxed);
    }

    pub(super) fn measures(&self, lane: LaneId) -> &measures::Cells {
        self.measures.get(&lane).expect("every lane has its measures")
    }

    pub(super) fn embeddings(&self) -> Arc<Embeddings> {
        Arc::clone(&self.embeddings.read().unwrap_or_else(PoisonError::into_inner))
    }
}
