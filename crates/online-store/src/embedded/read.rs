use fjall::Readable;
use record::{LaneId, Partition};

use super::layout::{self, Kind};
use super::{Embedded, Inner};
use crate::{Error, Page, Snapshot, StoredHead};

/// Up to this many keys are read at once where the caller stands: they are in memory nearly always,
/// and a change of threads would cost more than they do.
const KEYS_INLINE_MAX: usize = 64;
/// Entries that a scan visits before it lets other tasks run.
const SCAN_SLICE: usize = 256;

impl Embedded {
    pub(super) async fn read_kind(
        &self,
        kind: Kind,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        if keys.len() <= KEYS_INLINE_MAX {
            return self.inner.read(kind, lane, partition, keys);
        }
        let keys = keys.to_vec();
        self.blocking(move |inner| inner.read(kind, lane, partition, &keys)).await
    }
}

impl Inner {
    fn read(
        &self,
        kind: Kind,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        let snapshot = self.database.inner().snapshot();
        let Some(head) = self.head_at(&snapshot, lane, partition)? else {
            return Ok(Snapshot { head: None, values: vec![None; keys.len()] });
        };
        let prefix = layout::prefix(kind, lane, partition);
        let value = |key: &Vec<u8>| {
            let value = snapshot.get(&self.store, layout::key(&prefix, key));
            Ok(value.map_err(|error| self.failed(error))?.map(|value| value.to_vec()))
        };
        let values = keys.iter().map(value).collect::<Result<_, Error>>()?;
        Ok(Snapshot { head: Some(head), values })
    }

    fn head_at(
        &self,
        snapshot: &fjall::Snapshot,
        lane: LaneId,
        partition: Partition,
    ) -> Result<Option<StoredHead>, Error> {
        let key = layout::prefix(Kind::Head, lane, partition);
        let Some(value) = snapshot.get(&self.store, key).map_err(|error| self.failed(error))?
        else {
            return Ok(None);
        };
        Ok(layout::decode(&key, &value)?.head)
    }

    pub(super) async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn FnMut(&[u8], &[u8]) + Send),
    ) -> Result<Option<StoredHead>, Error> {
        let snapshot = self.database.inner().snapshot();
        let Some(head) = self.head_at(&snapshot, lane, partition)? else { return Ok(None) };
        let entries = snapshot.prefix(&self.store, layout::prefix(Kind::State, lane, partition));
        for (visited, entry) in entries.enumerate() {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            visit(layout::own_key(&key), &value);
            if visited % SCAN_SLICE == SCAN_SLICE - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Some(head))
    }

    /// In the order of keys: a page begins at the first key that is not before `from`.
    pub(super) fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        let snapshot = self.database.inner().snapshot();
        let mut page = Page { head: None, states: Vec::new(), next: None };
        page.head = self.head_at(&snapshot, lane, partition)?;
        if page.head.is_none() {
            return Ok(page);
        }
        let prefix = layout::prefix(Kind::State, lane, partition);
        for entry in snapshot.range(&self.store, layout::key(&prefix, from)..) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            if !key.starts_with(&prefix) {
                break;
            }
            if page.states.len() == keys.max(1) {
                page.next = Some(layout::own_key(&key).to_vec());
                break;
            }
            page.states.push((layout::own_key(&key).to_vec(), value.to_vec()));
        }
        Ok(page)
    }

    pub(super) fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        let mut lanes = Vec::new();
        for entry in self.store.prefix([Kind::Head as u8]) {
            let (key, value) = entry.into_inner().map_err(|error| self.failed(error))?;
            let (lane, _) = layout::place(&key)?;
            if layout::decode(&key, &value)?.head.is_some() && lanes.last() != Some(&lane) {
                lanes.push(lane);
            }
        }
        Ok(lanes)
    }
}
