use std::sync::{Arc, PoisonError};
use std::time::Duration;

use definitions::Lane;
use fold::Embedding;
use futures::future::try_join_all;
use record::{LaneId, Offset, Partition};
use tokio::sync::{broadcast, watch};

use super::shared::Shared;
use super::{Counters, Progress, Published};

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

    /// How far each (lane, partition) is, in the order of lane ids.
    #[must_use]
    pub fn progress(&self) -> Vec<(LaneId, Partition, Progress)> {
        let slots = self.shared.slots.iter();
        slots.map(|((lane, p), slot)| (*lane, *p, slot.borrow().clone())).collect()
    }

    /// Whether every lane has covered the log's end as it was when the updater started: until then a
    /// new lane's states are not to be served.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.shared.slots.values().all(|slot| slot.borrow().caught_up)
    }

    /// Waits until [`Handle::is_caught_up`].
    pub async fn caught_up(&self) {
        for slot in self.shared.slots.values() {
            // The slots live as long as this handle does, so none of them can be gone.
            let _ = slot.subscribe().wait_for(|progress| progress.caught_up).await;
        }
    }

    /// Waits until all of these positions are covered, at most for `limit`; whether they are. A lane
    /// or partition that the updater does not keep is never covered.
    pub async fn wait_for(
        &self,
        positions: &[(LaneId, Partition, Offset)],
        limit: Duration,
    ) -> bool {
        let waits = positions.iter().map(async |(lane, partition, next)| {
            let slot = self.shared.slots.get(&(*lane, *partition)).ok_or(())?;
            let mut receiver = slot.subscribe();
            receiver.wait_for(|progress| progress.next() >= *next).await.map(drop).map_err(drop)
        });
        let waited = tokio::time::timeout(limit, try_join_all(waits)).await;
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

    /// Writes interest vectors for these embeddings from the next commit on, and no others. A visitor
    /// whom no later commit changes has none; the service does not read them.
    pub fn set_embeddings(&self, active: Vec<Arc<dyn Embedding>>) {
        let mut slot = self.shared.embeddings.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Arc::new(slot.replaced(active));
    }
}
