//! The state of one lane in one partition, in memory: what the updater and the batch job drive.

use std::sync::Arc;

use definitions::{Columns, EventBatch, Lane};
use record::{EventTime, LogId, Offset, Partition};

use crate::{Error, Ledger, Verdict};

/// What a lane's state in a partition covers: one per (lane, partition), committed with the states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log that `next` counts in.
    pub log: LogId,
    /// First record that is not covered.
    pub next: Offset,
    /// Greatest effective time seen, less the allowed lateness.
    pub watermark: EventTime,
    /// Records by verdict, since offset 0.
    pub ledger: Ledger,
}

/// Key of a stored state within (lane, partition).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(Box<[u8]>);

/// What a commit must write.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The head after the batches.
    pub head: Head,
    /// Changed states in key order: `None` removes the key (nothing is left of it).
    pub states: Vec<(StateKey, Option<Vec<u8>>)>,
}

/// One lane's state in one partition: admission, states in memory, what changed since the last commit.
#[derive(Debug)]
pub struct LanePartition {
    lane: Arc<Lane>,
    partition: Partition,
    head: Head,
}

impl Head {
    /// The head of a lane that has covered nothing of `log`.
    #[must_use]
    pub fn start(log: LogId) -> Self {
        Self { log, next: Offset(0), watermark: EventTime::MIN, ledger: Ledger::default() }
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// Reads [`Head::encode`]'s bytes.
    ///
    /// # Errors
    /// Another version, or damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let _ = bytes;
        unimplemented!()
    }
}

impl StateKey {
    /// The key of a stream key: it holds the key's admission state, and the features too where the
    /// lane's entity is the stream key.
    #[must_use]
    pub fn stream(key: &str) -> Self {
        let _ = key;
        unimplemented!()
    }

    /// The key of an entity's features in `lane`: [`StateKey::stream`] where the lane is keyed by
    /// the stream key, else a key of its own kind.
    #[must_use]
    pub fn entity(lane: &Lane, key: &str) -> Self {
        let _ = (lane, key);
        unimplemented!()
    }

    /// The bytes to store it under, without lane and partition.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes back.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The entity's key as text, if this key holds features of `lane`.
    #[must_use]
    pub fn entity_key(&self, lane: &Lane) -> Option<&str> {
        let _ = lane;
        unimplemented!()
    }
}

impl LanePartition {
    /// The state at `head`; states of keys come in through [`LanePartition::load`] as they are needed.
    #[must_use]
    pub fn new(lane: Arc<Lane>, partition: Partition, head: Head) -> Self {
        Self { lane, partition, head }
    }

    /// The head as of the last applied batch.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The lane.
    #[must_use]
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Keys that the batch touches and memory does not hold, without repetition: read them from the
    /// store and [`LanePartition::load`] them before [`LanePartition::apply`].
    #[must_use]
    pub fn missing(&self, batch: &EventBatch) -> Vec<StateKey> {
        let _ = (batch, self.partition);
        unimplemented!()
    }

    /// Takes in a key's stored state; `None`: the store holds nothing under it.
    ///
    /// # Errors
    /// Damaged bytes, or of another version.
    pub fn load(&mut self, key: StateKey, bytes: Option<&[u8]>) -> Result<(), Error> {
        let _ = (key, bytes);
        unimplemented!()
    }

    /// Judges each row in offset order and folds the admitted ones; rows before `head.next` are
    /// skipped (a replay). Returns one verdict per row that was not skipped, in row order.
    /// Keys that [`LanePartition::missing`] named and nobody loaded are taken as empty.
    pub fn apply(&mut self, batch: &EventBatch, columns: &Columns) -> Vec<(usize, Verdict)> {
        let _ = (batch, columns);
        unimplemented!()
    }

    /// What changed since the last call, for a commit; the memory keeps the states.
    pub fn take_changes(&mut self) -> Changes {
        unimplemented!()
    }

    /// Drops the least recently used clean states until about `bytes_max` bytes are held.
    pub fn evict(&mut self, bytes_max: usize) {
        let _ = bytes_max;
        unimplemented!()
    }

    /// Canonical bytes of one key's state in memory, if memory holds it and it is not empty.
    #[must_use]
    pub fn state(&self, key: &StateKey) -> Option<Vec<u8>> {
        let _ = key;
        unimplemented!()
    }
}
