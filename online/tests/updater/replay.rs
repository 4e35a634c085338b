//! The same log, folded anew with no updater: what every store is compared with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use definitions::decode::Decoder;
use event_log::EventLog;
use fold::{Head, LanePartition, StateKey};
use online::updater::{self, Digest};
use online_store::{Commit, OnlineStore, Outcome, OwnerToken, StoredHead};
use record::{LaneId, Offset, Partition, Record};

use crate::world::{self, World, scratch_store};

/// A lane's partition, folded from offset 0 as far as it was asked for.
pub(crate) struct Replay {
    fold: LanePartition,
    partition: Partition,
    decoder: Decoder,
    records: Vec<Record>,
}

impl Replay {
    pub(crate) async fn new(log: &dyn EventLog, lane: &Arc<Lane>, partition: Partition) -> Self {
        let topic = log.topic(&lane.source.topic).await.unwrap();
        let end = log.bounds(&lane.source.topic).await.unwrap()[partition.0 as usize].next;
        let mut reader = log.reader(&lane.source.topic, partition, Offset(0)).await.unwrap();
        let mut records = Vec::new();
        while reader.position() < end {
            records.extend(reader.next(1000, Duration::from_secs(5)).await.unwrap());
        }
        Self {
            partition,
            fold: LanePartition::new(Arc::clone(lane), partition, Head::start(topic.log)),
            decoder: Decoder::new(Arc::clone(&lane.source), partition, topic.partitions),
            records,
        }
    }

    /// Folds up to `next`, which must not go back, in batches of `rows`.
    pub(crate) fn advance(&mut self, next: Offset, rows: usize) -> &LanePartition {
        let from = self.fold.head().next.0 as usize;
        for records in self.records[from..next.0 as usize].chunks(rows) {
            let batch = self.decoder.decode(records);
            let columns = self.fold.lane().evaluate(&batch);
            self.fold.apply(&batch, &columns);
        }
        &self.fold
    }

    pub(crate) fn end(&self) -> Offset {
        Offset(self.records.len() as u64)
    }

    /// Writes what changed since the last time, which was at `expected`.
    pub(crate) async fn commit(&mut self, store: &dyn OnlineStore, expected: Option<Offset>) {
        let changes = self.fold.take_changes();
        let (lane, partition) = (self.fold.lane().id, self.partition);
        let owner = OwnerToken([7; 16]);
        store.claim(lane, partition, owner).await.unwrap();
        let states = changes.states.into_iter();
        let commit = Commit {
            lane,
            partition,
            owner,
            expected,
            head: StoredHead { next: changes.head.next, bytes: changes.head.encode() },
            states: states.map(|(key, bytes)| (key.as_bytes().to_vec(), bytes)).collect(),
            derived: Vec::new(),
        };
        assert_eq!(store.commit(&commit).await.unwrap(), Outcome::Committed);
    }

    pub(crate) fn state(&self, key: &StateKey) -> Option<Vec<u8>> {
        self.fold.state(key)
    }
}

/// The digests of a store that was filled by folding the log once, in batches of `rows`.
pub(crate) async fn fresh_digests(
    world: &World,
    rows: usize,
) -> BTreeMap<(LaneId, Partition), Digest> {
    let (_directory, store) = scratch_store();
    for lane in &world.lanes {
        for partition in world::partitions() {
            let mut replay = Replay::new(world.log.as_ref(), lane, partition).await;
            if replay.end() == Offset(0) {
                continue;
            }
            replay.advance(replay.end(), rows);
            replay.commit(store.as_ref(), None).await;
        }
    }
    digests(store.as_ref(), &world.lanes).await
}

/// The digests of a store.
pub(crate) async fn digests(
    store: &dyn OnlineStore,
    lanes: &[Arc<Lane>],
) -> BTreeMap<(LaneId, Partition), Digest> {
    let mut digests = BTreeMap::new();
    for lane in lanes {
        for partition in world::partitions() {
            let digest = updater::digest(store, lane, partition).await.unwrap();
            digests.insert((lane.id, partition), digest);
        }
    }
    digests
}
