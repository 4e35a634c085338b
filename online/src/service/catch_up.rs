//! Whether the lanes have caught up: a new lane's states are not served before they cover what the log
//! held when the service was made.
//!
//! An updater in this process says so; without one the store's heads do. The item table has to show it,
//! too. What was so once stays so: a lane that falls behind later is what positions, `stale` and
//! degradations are for.

use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use event_log::EventLog;
use fold::Head;
use online_store::OnlineStore;
use record::{LaneId, LogId, Offset, Partition};
use runtime::clock::Clock;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Error;
use crate::item_table::ItemTable;
use crate::updater;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(50);
/// How long the store may take to say where one (lane, partition) is.
const READ_MAX: Duration = Duration::from_secs(2);
/// How long the log may take to say whether it goes on after a head.
const LOOK_AHEAD: Duration = Duration::from_millis(200);

const UPDATER: &str = "the updater has not caught up with the log yet";
const LANES: &str =
    "not every lane covers yet what the log held at the start: run `twofold update` for that";
const ITEMS: &str = "the item table does not show yet what its lanes cover";

/// What is waited for; `None`: nothing any more.
pub(super) type Waits = watch::Receiver<Option<&'static str>>;

/// Looks until the lanes have caught up.
pub(super) struct CatchUp {
    parts: Parts,
    ends: Vec<End>,
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

/// How far a (lane, partition) has to come.
struct End {
    lane: Arc<Lane>,
    partition: Partition,
    log: LogId,
    /// The log's end at the start.
    next: Offset,
    /// Where the head was when it was last looked at.
    head: Option<Offset>,
    /// A record before the end that the head did not cover when it was looked for.
    record: Option<Offset>,
    /// What was last said of a head that cannot be read.
    told: Option<String>,
}

/// A (lane, partition) that has caught up, and how far at least.
type Covered = (LaneId, Partition, Offset);

impl CatchUp {
    /// Remembers where the log ends, and looks for the first time.
    pub(super) async fn open(parts: Parts, lanes: &[Arc<Lane>]) -> Result<(Self, Waits), Error> {
        let log = &parts.log;
        let mut ends = Vec::new();
        for lane in lanes {
            let topic = log.topic(&lane.source.topic).await?;
            let bounds = log.bounds(&lane.source.topic).await?;
            ends.extend(bounds.iter().zip(0..).map(|(bounds, partition)| End {
                lane: Arc::clone(lane),
                partition: Partition(partition),
                log: topic.log,
                next: bounds.next,
                head: None,
                record: None,
                told: None,
            }));
        }
        let (waits, receiver) = watch::channel(Some(LANES));
        let mut this = Self { parts, ends, waits };
        this.look().await;
        Ok((this, receiver))
    }

    /// Looks until it is so.
    pub(super) async fn follow(mut self) {
        while !self.look().await {
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks once, and says what is waited for; whether it is nothing.
    async fn look(&mut self) -> bool {
        let waits = match self.covered().await {
            Ok(covered) => (!self.table_shows(&covered)).then_some(ITEMS),
            Err(why) => Some(why),
        };
        self.waits.send_if_modified(|before| std::mem::replace(before, waits) != waits);
        waits.is_none()
    }

    /// How far each (lane, partition) is, if all of them have caught up.
    async fn covered(&mut self) -> Result<Vec<Covered>, &'static str> {
        if let Some(updater) = &self.parts.updater {
            if !updater.is_caught_up() {
                return Err(UPDATER);
            }
            let progress = updater.progress().into_iter();
            return Ok(progress
                .map(|(lane, partition, at)| (lane, partition, at.next().min(at.end)))
                .collect());
        }
        let mut covered = Vec::with_capacity(self.ends.len());
        for end in &mut self.ends {
            let head = end.look(&*self.parts.log, &*self.parts.store).await.ok_or(LANES)?;
            covered.push((end.lane.id, end.partition, head));
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

impl End {
    /// Where the head is, up to the end, if it has caught up.
    async fn look(&mut self, log: &dyn EventLog, store: &dyn OnlineStore) -> Option<Offset> {
        let head = if self.next == Offset(0) { Offset(0) } else { self.stored(store).await? };
        if head >= self.next {
            return Some(self.next);
        }
        if self.record.is_some_and(|record| record >= head) || self.head.replace(head) != Some(head)
        {
            return None;
        }
        // It stands still: a log may end in gaps, which no record covers, and so no head.
        match self.next_record(log, head).await? {
            record if record < self.next => {
                self.record = Some(record);
                None
            }
            _ => Some(head),
        }
    }

    /// The stored head's position; 0 where there is none. `None`: it cannot be said, or belongs to
    /// another log.
    async fn stored(&mut self, store: &dyn OnlineStore) -> Option<Offset> {
        let read = store.read(self.lane.id, self.partition, &[]);
        let failure = match timeout(READ_MAX, read).await {
            Ok(Ok(snapshot)) => match snapshot.head.map(|head| Head::decode(&head.bytes)) {
                None => return Some(Offset(0)),
                Some(Ok(head)) if head.log == self.log => return Some(head.next),
                Some(Ok(_)) => "it was built from another log".to_owned(),
                Some(Err(error)) => error.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store does not answer".to_owned(),
        };
        if self.told.as_ref() != Some(&failure) {
            let (lane, partition) = (self.lane.id, self.partition);
            tracing::warn!(%lane, %partition, failure, "whether a lane has caught up cannot be said");
            self.told = Some(failure);
        }
        None
    }

    /// The first record from `from` on, or where the log ends instead. `None`: it cannot be said, as
    /// where the log has dropped what is there.
    async fn next_record(&self, log: &dyn EventLog, from: Offset) -> Option<Offset> {
        let topic = &self.lane.source.topic;
        let mut reader = log.reader(topic, self.partition, from).await.ok()?;
        let records = reader.next(1, LOOK_AHEAD).await.ok()?;
        match records.first() {
            Some(record) => Some(record.offset),
            None => (reader.position() >= self.next).then(|| reader.position()),
        }
    }
}
