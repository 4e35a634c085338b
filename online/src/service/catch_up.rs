//! Whether the lanes have caught up: a new lane's states are not served before they cover what the log
//! held when the service was made.
//!
//! An updater in this process says so of the partitions that it works on; of the others, which another
//! process has, the store's heads do. The item table has to show it, too. What was so once stays so: a lane
//! that falls behind later is what positions, `stale` and degradations are for.

use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use event_log::EventLog;
use online_store::OnlineStore;
use record::{LaneId, Offset, Partition};
use runtime::clock::Clock;
use tokio::sync::watch;

use super::Error;
use crate::item_table::ItemTable;
use crate::updater::{self, Goal};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(50);

const UPDATER: &str = "the updater has not caught up with the log yet";
const UPDATERS: &str = "a partition's updater has not caught up with the log yet";
const LANES: &str =
    "not every lane covers yet what the log held at the start: run `twofold update` for that";
const ITEMS: &str = "the item table does not show yet what its lanes cover";

/// What is waited for; `None`: nothing any more.
pub(super) type Waits = watch::Receiver<Option<&'static str>>;

/// Looks until the lanes have caught up.
pub(super) struct CatchUp {
    parts: Parts,
    goals: Vec<Goal>,
    waits: watch::Sender<Option<&'static str>>,
}

/// Where it is looked.
pub(super) struct Parts {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn OnlineStore>,
    pub(super) updater: Option<updater::Handle>,
    pub(super) item_table: ItemTable,
    pub(super) clock: Clock,
}

/// A (lane, partition) that has caught up, and how far at least.
type Covered = (LaneId, Partition, Offset);

impl CatchUp {
    /// Remembers where the log ends, and looks for the first time.
    pub(super) async fn open(parts: Parts, lanes: &[Arc<Lane>]) -> Result<(Self, Waits), Error> {
        let log = &parts.log;
        let mut goals = Vec::new();
        for lane in lanes {
            let topic = log.topic(&lane.source.topic).await?;
            let bounds = log.bounds(&lane.source.topic).await?;
            goals.extend(bounds.iter().zip(0..).map(|(bounds, partition)| {
                Goal::new(Arc::clone(lane), Partition(partition), topic.log, bounds.next)
            }));
        }
        let (waits, receiver) = watch::channel(Some(LANES));
        let mut this = Self { parts, goals, waits };
        this.look().await;
        Ok((this, receiver))
    }

    /// Looks until it is so, and no further: whoever was told so goes on.
    pub(super) async fn follow(mut self) {
        while self.waits.borrow().is_some() {
            self.look().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks once, and says what is waited for.
    async fn look(&mut self) {
        let waits = match self.covered().await {
            Ok(covered) => (!self.table_shows(&covered)).then_some(ITEMS),
            Err(why) => Some(why),
        };
        self.waits.send_if_modified(|before| std::mem::replace(before, waits) != waits);
    }

    /// How far each (lane, partition) is, if all of them have caught up.
    async fn covered(&mut self) -> Result<Vec<Covered>, &'static str> {
        let Parts { log, store, updater, .. } = &self.parts;
        // Whatever the heads say: it has to be at work, or what comes next would stay unseen for as long
        // as its group takes to take it in.
        if updater.as_ref().is_some_and(|updater| !updater.is_caught_up()) {
            return Err(UPDATER);
        }
        let mut covered = Vec::with_capacity(self.goals.len());
        for goal in &mut self.goals {
            let (lane, partition) = (goal.lane.id, goal.partition);
            let here = updater.as_ref().and_then(|updater| updater.working_on(lane, partition));
            let head = match here {
                Some(at) if at.caught_up => at.next().min(at.end),
                _ => goal.look(&**log, &**store).await.ok_or(match updater {
                    Some(_) => UPDATERS,
                    None => LANES,
                })?,
            };
            covered.push((lane, partition, head));
        }
        Ok(covered)
    }

    fn table_shows(&self, covered: &[Covered]) -> bool {
        let Parts { item_table, clock, .. } = &self.parts;
        let version = item_table.current();
        let shown = |lane: LaneId, partition: Partition| {
            let mut reads = version.reads().iter();
            let read = reads.find(|read| read.lane == lane && read.partition == partition);
            read.map(|read| read.head.as_ref().map_or(Offset(0), |head| head.next))
        };
        // Lanes that are not items' are not in the table.
        let shows = |(lane, partition, next): &Covered| {
            shown(*lane, *partition).is_none_or(|shown| shown >= *next)
        };
        !item_table.is_stale(&version, clock.now()) && covered.iter().all(shows)
    }
}
