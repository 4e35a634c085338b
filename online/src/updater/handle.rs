use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use definitions::Lane;
use fold::Embedding;
use futures::future::try_join_all;
use record::{LaneId, Offset, Partition};
use tokio::sync::{broadcast, watch};

use super::shared::Shared;
use super::{Counters, Measures, Progress, Published};

/// Asks a running updater and follows it. Cheap to clone; it outlives the updater.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The lanes that the updater keeps.
    #[must_use]
    pub fn lanes(&self) -> &[Arc<Lane>] {
        &self.shared.lanes
    }

    /// How far each (lane, partition) is that the updater works on, in the order of lane ids; once it has
    /// ended, those that it worked on last.
    #[must_use]
    pub fn progress(&self) -> Vec<(LaneId, Partition, Progress)> {
        let slots = self.shared.slots.iter();
        let slots = slots.map(|((lane, p), slot)| (*lane, *p, slot.borrow().clone()));
        slots.filter(|(_, _, progress)| progress.held).collect()
    }

    /// How far a (lane, partition) is, if this updater works on it: its commits are published here then.
    #[must_use]
    pub fn working_on(&self, lane: LaneId, partition: Partition) -> Option<Progress> {
        let slot = self.shared.slots.get(&(lane, partition))?;
        let progress = slot.borrow().clone();
        (progress.held && !self.shared.ended.load(Ordering::Relaxed)).then_some(progress)
    }

    /// Where its reader stands, if this updater works on a (lane, partition): all before is covered.
    pub(super) fn read_to(&self, lane: LaneId, partition: Partition) -> Offset {
        let cell = self.shared.read_to.get(&(lane, partition));
        Offset(cell.map_or(0, |cell| cell.load(Ordering::Relaxed)))
    }

    /// Whether every lane has covered the log's end as it was when the updater started, in the
    /// partitions that it works on: in a group others have the rest, of which the store's heads tell.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let covered = |slot: &watch::Sender<Progress>| {
            let progress = slot.borrow();
            progress.caught_up || !progress.held
        };
        *self.shared.joined.borrow() && self.shared.slots.values().all(covered)
    }

    /// Waits until [`Handle::is_caught_up`].
    pub async fn caught_up(&self) {
        // Senders live as long as this handle does, so none of them can be gone.
        let _ = self.shared.joined.subscribe().wait_for(|joined| *joined).await;
        // Again: a partition may have come while another one was waited for.
        while !self.is_caught_up() {
            for slot in self.shared.slots.values() {
                let covered = |progress: &Progress| progress.caught_up || !progress.held;
                let _ = slot.subscribe().wait_for(covered).await;
            }
        }
    }

    /// Waits until all of these positions are covered, at most for `limit`; whether they are, as far as
    /// this updater knows: it says no at once of a lane or partition that it does not work on.
    pub async fn wait_for(
        &self,
        positions: &[(LaneId, Partition, Offset)],
        limit: Duration,
    ) -> bool {
        let waits = positions.iter().map(async |(lane, partition, next)| {
            let slot = self.shared.slots.get(&(*lane, *partition)).ok_or(())?;
            let mut receiver = slot.subscribe();
            let known = receiver.wait_for(|at| !at.held || at.next() >= *next).await;
            known.map_err(drop)?.held.then_some(()).ok_or(())
        });
        let waited = async {
            let _ = self.shared.joined.subscribe().wait_for(|joined| *joined).await;
            try_join_all(waits).await
        };
        let waited = tokio::time::timeout(limit, waited).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// Follows one (lane, partition).
    #[must_use]
    pub fn watch(&self, lane: LaneId, partition: Partition) -> Option<watch::Receiver<Progress>> {
        self.shared.slots.get(&(lane, partition)).map(watch::Sender::subscribe)
    }

    /// Follows the commits of the items' lanes. A follower that lags behind is told how
    /// many it missed, and has to look at the store again.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Published> {
        self.shared.published.subscribe()
    }

    /// What the updater has done since it started.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters.snapshot()
    }

    /// What was measured of each lane, in the order of [`Handle::lanes`].
    #[must_use]
    pub fn measures(&self) -> Vec<(Arc<Lane>, Measures)> {
        let lanes = self.shared.lanes.iter();
        lanes.map(|lane| (Arc::clone(lane), self.shared.measures(lane.id).snapshot())).collect()
    }

    /// Writes interest vectors for these embeddings from the next commit on, and no others. A visitor
    /// whom no later commit changes has none; the service does not read them.
    pub fn set_embeddings(&self, active: Vec<Arc<dyn Embedding>>) {
        let mut slot = self.shared.embeddings.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Arc::new(slot.replaced(active));
    }
}
