//! Follows the commits and makes new versions.

use std::sync::Arc;
use std::time::Duration;

use fold::{Head, StateKey};
use online_store::OnlineStore;
use record::{EventTime, Partition};
use runtime::clock::Clock;
use runtime::shutdown::Shutdown;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::items::LaneItems;
use super::version::{Items, Version};
use super::{Cells, Error, Settings};
use crate::busy::busy;
use crate::updater::{self, Published};

/// Scans that a moving head may spoil before the table gives up for this time.
const SCANS_MAX: u32 = 20;

/// Makes the versions; [`Refresher::run`] it beside the updater.
pub struct Refresher {
    pub(super) settings: Settings,
    pub(super) store: Arc<dyn OnlineStore>,
    pub(super) clock: Clock,
    /// Tells of its own commits only.
    pub(super) updater: Option<updater::Handle>,
    pub(super) commits: Option<broadcast::Receiver<Published>>,
    pub(super) lanes: Vec<LaneItems>,
    pub(super) items: Arc<Items>,
    /// Whether the set of items changed since `items` was made.
    pub(super) items_changed: bool,
    /// Whether any commit came since the last version.
    pub(super) values_changed: bool,
    /// (lane, partition) to scan again: commits were missed, or could not be read.
    pub(super) broken: Vec<(usize, Partition)>,
    pub(super) versions: watch::Sender<Arc<Version>>,
    pub(super) cells: Arc<Cells>,
}

pub(super) fn all_partitions(lanes: &[LaneItems]) -> Vec<(usize, Partition)> {
    let lanes = lanes.iter().enumerate();
    lanes.flat_map(|(n, lane)| lane.partitions().map(move |partition| (n, partition))).collect()
}

const SECOND_US: i64 = 1_000_000;

pub(super) fn whole_second(at: EventTime) -> EventTime {
    EventTime(at.0.div_euclid(SECOND_US) * SECOND_US)
}

impl Refresher {
    /// Follows the commits and swaps versions until `shutdown`. A version that cannot be made is
    /// counted and logged; the last good one stays, and its `as_of` says how old it is.
    ///
    /// # Errors
    /// [`Error::Panicked`] only: the states are gone with the computation.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        if shutdown.unless(self.catch_up()).await.is_none() {
            return Ok(());
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(self.settings.refresh_ms));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut second = whole_second(self.clock.now()).plus(SECOND_US);
        loop {
            let left_us = second.0 - self.clock.now().0;
            if left_us > 0 {
                // No longer than a second: the clock may step back.
                let left = Duration::from_micros(left_us.min(SECOND_US) as u64);
                tokio::select! {
                    biased;
                    () = shutdown.wait() => return Ok(()),
                    _ = ticks.tick() => {}
                    () = tokio::time::sleep(left) => {}
                    commit = next(&mut self.commits) => {
                        self.absorb(commit);
                        continue;
                    }
                }
            }
            match self.refresh().await {
                Ok(()) => {}
                Err(error @ Error::Panicked(_)) => return Err(error),
                Err(error) => {
                    Cells::add(&self.cells.failures);
                    tracing::error!(%error, "the item table keeps its last version");
                }
            }
            second = whole_second(self.clock.now()).plus(SECOND_US);
        }
    }

    /// While the updater catches up nobody is answered, and its commits come too fast for a scan between
    /// them: what they change is taken in, and shown or scanned when it has caught up.
    async fn catch_up(&mut self) {
        let Some(updater) = self.updater.clone() else { return };
        let mut caught_up = std::pin::pin!(updater.caught_up());
        loop {
            tokio::select! {
                biased;
                () = &mut caught_up => return,
                commit = next(&mut self.commits) => self.absorb(commit),
            }
        }
    }

    async fn refresh(&mut self) -> Result<(), Error> {
        self.find_moved_heads().await?;
        self.mend().await?;
        let as_of = whole_second(self.clock.now());
        // A clock that steps back must not take the table back with it.
        let as_of = as_of.max(self.versions.borrow().as_of());
        if self.values_changed || as_of > self.versions.borrow().as_of() {
            self.publish(as_of).await?;
        }
        Ok(())
    }

    /// Takes in what the updater said.
    fn absorb(&mut self, commit: Result<Published, RecvError>) {
        match commit {
            Ok(commit) => {
                let Some(n) = self.lanes.iter().position(|lane| lane.lane.id == commit.lane) else {
                    return;
                };
                Cells::add(&self.cells.commits);
                self.commit(n, commit);
            }
            Err(RecvError::Lagged(missed)) => {
                Cells::add(&self.cells.lagged);
                tracing::warn!(missed, "the item table lagged behind the commits: scanning again");
                self.broken = all_partitions(&self.lanes);
            }
            // The updater is gone: from now on the store's heads are polled.
            Err(RecvError::Closed) => self.commits = None,
        }
    }

    fn commit(&mut self, n: usize, commit: Published) {
        let place = (n, commit.partition);
        let known = self.lanes[n].next(commit.partition);
        if self.broken.contains(&place) || known.is_some_and(|known| commit.head.next <= known) {
            return;
        }
        if commit.previous != known {
            self.broken.push(place);
            return;
        }
        let Published { partition, head, states, .. } = commit;
        let lane = &mut self.lanes[n];
        match busy(states.len(), || lane.commit(partition, head, &states)) {
            Ok(items_changed) => {
                self.items_changed |= items_changed;
                self.values_changed = true;
            }
            Err(error) => {
                tracing::error!(%error, "a commit could not be read: scanning again");
                self.broken.push(place);
            }
        }
    }

    /// Where there is no updater to follow, because this process has none or another one's works on the
    /// partition, the heads say what changed.
    async fn find_moved_heads(&mut self) -> Result<(), Error> {
        for (n, partition) in all_partitions(&self.lanes) {
            let lane = &self.lanes[n];
            let updater = self.updater.as_ref();
            if updater.is_some_and(|updater| updater.working_on(lane.lane.id, partition).is_some())
            {
                continue;
            }
            let stored = self.store.read(lane.lane.id, partition, &[]).await?.head;
            if stored.map(|head| head.next) != lane.next(partition) {
                self.broken.push((n, partition));
            }
        }
        Ok(())
    }

    /// Scans what is broken.
    pub(super) async fn mend(&mut self) -> Result<(), Error> {
        while let Some((n, partition)) = self.broken.last().copied() {
            let (head, states) = self.scan(n, partition).await?;
            let lane = self.lanes[n].lane.id;
            let damaged = |source| Error::State { lane, partition, source };
            let head = head.map(|head| Head::decode(&head.bytes)).transpose().map_err(damaged)?;
            self.lanes[n].replace(partition, head, states).map_err(damaged)?;
            self.items_changed = true;
            self.values_changed = true;
            self.broken.retain(|place| *place != (n, partition));
        }
        Ok(())
    }

    async fn scan(&self, n: usize, partition: Partition) -> Result<Scanned, Error> {
        let mut scans = 1;
        loop {
            Cells::add(&self.cells.scans);
            let mut states = Vec::new();
            let mut visit = |key: &[u8], state: &[u8]| {
                states.push((StateKey::from_bytes(key), state.to_vec()));
            };
            match self.store.scan(self.lanes[n].lane.id, partition, &mut visit).await {
                Ok(head) => return Ok((head, states)),
                Err(online_store::Error::Moved { .. }) if scans < SCANS_MAX => scans += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Computes a version off the async threads and swaps it in.
    pub(super) async fn publish(&mut self, as_of: EventTime) -> Result<(), Error> {
        let number = self.versions.borrow().number() + 1;
        let mut lanes = std::mem::take(&mut self.lanes);
        let known = (!self.items_changed).then(|| Arc::clone(&self.items));
        let items_max = self.settings.items_max;
        let compute = move || {
            let items = known.unwrap_or_else(|| {
                Arc::new(Items::new(lanes.iter().flat_map(LaneItems::ids).cloned().collect()))
            });
            if items.ids.len() > items_max {
                return (lanes, Err(Error::TooManyItems { items: items.ids.len(), items_max }));
            }
            let values = lanes.iter_mut().map(|lane| lane.values(&items, as_of)).collect();
            let reads = lanes.iter().flat_map(LaneItems::reads).collect();
            let of = lanes.iter().map(|lane| Arc::clone(&lane.lane)).collect();
            let version = Version::new(of, Arc::clone(&items), values, reads, as_of, number);
            (lanes, Ok((items, version)))
        };
        let computed = tokio::task::spawn_blocking(compute).await;
        let (lanes, made) = computed.map_err(|error| Error::Panicked(error.to_string()))?;
        self.lanes = lanes;
        let (items, version) = made?;
        self.items = items;
        self.items_changed = false;
        self.values_changed = false;
        self.versions.send_replace(Arc::new(version));
        Cells::add(&self.cells.versions);
        Ok(())
    }
}

type Scanned = (Option<online_store::StoredHead>, Vec<(StateKey, Vec<u8>)>);

async fn next(
    commits: &mut Option<broadcast::Receiver<Published>>,
) -> Result<Published, RecvError> {
    match commits {
        Some(commits) => commits.recv().await,
        None => std::future::pending().await,
    }
}
