//! `manifest.json` of a bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Golden;
use crate::ranker::{Normalisation, Shape};
use crate::training_set::FileEntry;

/// The version that this build reads.
pub const VERSION: u32 = 1;

/// The file that vouches for the manifest: its checksum.
pub const SEAL: &str = "manifest.sha256";

/// What [`SEAL`] holds for a manifest of that digest: the line of `sha256sum manifest.json`.
pub(crate) fn seal(digest: &str) -> Vec<u8> {
    format!("{digest}  manifest.json\n").into_bytes()
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Name of the model that it was trained for.
    pub model: String,
    /// Microseconds since the epoch.
    pub created_at_us: i64,
    /// Hash of the model's definition, as hex.
    pub definition_hash: String,
    /// Names of the inputs, in order.
    pub inputs: Vec<String>,
    /// The ranker.
    pub ranker: RankerEntry,
    /// The retriever.
    pub retriever: Option<RetrieverEntry>,
    /// Digest of the training set's manifest; empty for a model from elsewhere.
    pub training_set: String,
    /// Time of the latest event that anything in it knows, in microseconds since the epoch.
    pub trained_to_us: i64,
    /// Seed of the training.
    pub seed: u64,
    /// What the training measured, by name.
    pub metrics: BTreeMap<String, f64>,
    /// Rows with their scores.
    pub golden: Golden,
    /// Every other file.
    pub files: Vec<FileEntry>,
}

/// The ranker's sizes and constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankerEntry {
    /// Sizes.
    pub shape: Shape,
    /// What inputs are normalised with.
    pub normalisation: Normalisation,
    /// Weight of each task (click, cart, purchase) in the score.
    pub mix: [f32; 3],
}

/// The retriever's sizes and constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrieverEntry {
    /// Number of items.
    pub items: usize,
    /// Length of the vectors.
    pub dimension: usize,
    /// Half-life of an event's weight, in microseconds.
    pub half_life_us: i64,
    /// Time of the last event that it knows, in microseconds since the epoch.
    pub trained_to_us: i64,
    /// [`crate::Retriever::digest`], as hex.
    pub digest: String,
}
