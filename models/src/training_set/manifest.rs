//! `manifest.json` of a training set: the contract between batch, which writes it, and training.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version that this build reads.
pub const VERSION: u32 = 1;

/// What a training set says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Which clock read the features.
    pub clock: Clock,
    /// Name of the model that the inputs belong to.
    pub model: String,
    /// Hash of the model's definition, as hex.
    pub definition_hash: String,
    /// Names of the input columns, in order.
    pub inputs: Vec<String>,
    /// Rows: one a candidate of a position.
    pub rows: u64,
    /// Positions that have rows.
    pub positions: u64,
    /// Positions whose label is not among their candidates.
    pub positions_without_target: u64,
    /// Earliest time of a position, in microseconds since the epoch.
    pub spine_from_us: i64,
    /// Latest time of a position, in microseconds since the epoch.
    pub spine_to_us: i64,
    /// The days, each with the index that gave its candidates.
    pub days: Vec<Day>,
    /// The item vectors that the inputs were made with.
    pub embedding: Option<Embedding>,
    /// Every data file.
    pub files: Vec<FileEntry>,
}

/// Which clock read the features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Strictly before the label in the total order.
    EventTime,
    /// The positions that a response recorded.
    AsServed,
}

/// A day of the spine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// `YYYY-MM-DD`, UTC.
    pub day: String,
    /// Earliest position of the day, in microseconds since the epoch.
    pub spine_from_us: i64,
    /// Latest position of the day, in microseconds since the epoch.
    pub spine_to_us: i64,
    /// Per `topic/partition`: the first offset that no position of the day has reached.
    pub spine_positions: BTreeMap<String, u64>,
    /// Digest of the day's candidate indexes.
    pub index_digest: String,
    /// Only sessions that ended before this are in the index.
    pub index_cut_us: i64,
    /// Per `topic/partition`: the first offset that the index had not read.
    pub index_positions: BTreeMap<String, u64>,
}

/// Item vectors that inputs were made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    /// Their digest, as hex.
    pub digest: String,
    /// Time of the last event that they know, in microseconds since the epoch.
    pub trained_to_us: i64,
}

/// A file with its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name in the directory.
    pub name: String,
    /// SHA-256, as lower-case hex.
    pub sha256: String,
    /// Length.
    pub bytes: u64,
}
