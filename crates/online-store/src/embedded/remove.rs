//! Removal of a lane, in pieces that a crash may separate: the head is replaced by a mark, which
//! reads as nothing, then the states go, then the mark. What is marked at opening is removed then,
//! so no state outlives its head and turns up under the next lane of that name.

use ::embedded::crash::Point;
use record::{LaneId, Partition};

use super::Inner;
use super::layout::{self, HeadEntry, Kind};
use crate::Error;

/// Entries removed by one batch.
const BATCH_ENTRIES: usize = 10_000;

impl Inner {
    pub(super) fn remove(&self, lane: LaneId) -> Result<(), Error> {
        for partition in self.partitions(lane)? {
            let _lock = self.lock(lane, partition);
            self.remove_partition(lane, partition)?;
        }
        Ok(())
    }

    /// Ends removals that a crash interrupted.
    pub(super) fn end_removals(&self) -> Result<(), Error> {
        let mut marked = Vec::new();
        for entry in self.store.prefix([Kind::Head as u8]) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            if layout::decode(&key, &value)?.removing {
                marked.push(layout::place(&key)?);
            }
        }
        for (lane, partition) in marked {
            tracing::info!(%lane, %partition, "ending the removal of a lane");
            self.remove_partition(lane, partition)?;
        }
        Ok(())
    }

    fn partitions(&self, lane: LaneId) -> Result<Vec<Partition>, Error> {
        let mut found = Vec::new();
        let prefix = &layout::prefix(Kind::Head, lane, Partition(0))[..layout::LANE_PREFIX_BYTES];
        for entry in self.store.prefix(prefix) {
            let key = entry.key().map_err(|error| self.failed(error))?;
            found.push(layout::place(&key)?.1);
        }
        Ok(found)
    }

    fn remove_partition(&self, lane: LaneId, partition: Partition) -> Result<(), Error> {
        let head = layout::prefix(Kind::Head, lane, partition);
        let mark = HeadEntry { removing: true, ..HeadEntry::default() };
        let mut batch = self.database.batch();
        batch.insert(&self.store, head, layout::encode(&mark));
        self.database.write(batch)?;
        self.database.pass(Point::StateRemoveAfterMark);
        for kind in [Kind::State, Kind::Derived] {
            self.remove_kind(kind, lane, partition)?;
        }
        self.database.pass(Point::StateRemoveBeforeUnmark);
        let mut batch = self.database.batch();
        batch.remove(&self.store, head);
        self.database.write(batch)?;
        Ok(())
    }

    fn remove_kind(&self, kind: Kind, lane: LaneId, partition: Partition) -> Result<(), Error> {
        let mut batch = self.database.batch();
        for entry in self.store.prefix(layout::prefix(kind, lane, partition)) {
            batch.remove(&self.store, entry.key().map_err(|error| self.failed(error))?);
            if batch.len() == BATCH_ENTRIES {
                self.database.write(std::mem::replace(&mut batch, self.database.batch()))?;
            }
        }
        self.database.write(batch)?;
        Ok(())
    }
}
