//! What the pipeline's stages work on: the query and the candidate.

use std::sync::{Arc, OnceLock};

use candidates::pool::Pool;
use candidates::source::{self, Hit};
use fold::Value;
use hashbrown::HashSet;
use record::EventTime;
use wire::v1;

use super::tables::Snapshot;
use crate::item_table::Version;

/// Sources that a model may name.
pub(super) const SOURCES_MAX: usize = 8;

/// A request with everything that was pinned for it.
pub(super) struct Query {
    pub(super) request: v1::RecommendRequest,
    pub(super) k: usize,
    pub(super) as_of: EventTime,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) items: Arc<Version>,
    /// Whether `items` is older than it may be.
    pub(super) items_stale: bool,
    /// Names of the sources, in the order of [`Candidate::hits`].
    pub(super) sources: Arc<[String]>,
    /// First 8 bytes of BLAKE3 of the ids that earlier pages held.
    pub(super) earlier_pages: HashSet<u64>,
    /// Whether an experiment's arm turns the model off.
    pub(super) model_off: bool,
    /// What the hydrator read.
    pub(super) visitor: Visitor,
    /// What the sources are asked; without the visitor until the hydrator is done.
    pub(super) asked: source::Query,
    /// What each source found (its place, its hits), for the fallback to record the truth about the
    /// items that it answers with.
    pub(super) found: OnceLock<Vec<(usize, Vec<Hit>)>>,
}

/// The visitor's lanes as they were read.
#[derive(Clone, Default)]
pub(super) struct Visitor {
    /// The head of each lane.
    pub(super) reads: Vec<v1::LaneRead>,
    /// The values of each lane; none where it was not read.
    pub(super) values: Arc<Vec<Vec<Value>>>,
    /// Positions that the caller wanted are not covered.
    pub(super) stale: bool,
}

/// An item that may be answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Ordinal in the indexes' catalogue.
    pub(super) item: u32,
    /// Ordinal in the item table, if it knows the item.
    pub(super) row: Option<u32>,
    /// Hits by source.
    pub(super) hits: [Option<Hit>; SOURCES_MAX],
    pub(super) score: Option<f32>,
    /// The model's inputs of all candidates, and which row is this one's.
    pub(super) inputs: Option<(Arc<[f32]>, u32)>,
}

impl Candidate {
    pub(super) fn new(item: u32) -> Self {
        Self { item, row: None, hits: [None; SOURCES_MAX], score: None, inputs: None }
    }

    /// The inputs that the model saw, if it saw this candidate.
    pub(super) fn inputs(&self, width: usize) -> &[f32] {
        self.inputs.as_ref().map_or(&[], |(all, row)| &all[*row as usize * width..][..width])
    }
}

impl Query {
    /// The id of a candidate.
    pub(super) fn id(&self, candidate: &Candidate) -> &Arc<str> {
        let indexes = self.snapshot.indexes.as_ref();
        indexes.expect("candidates come from indexes").catalogue.id(candidate.item)
    }

    /// A feature of a candidate in the item table: an index into its lanes, one into the lane's
    /// features.
    pub(super) fn item_value(&self, candidate: &Candidate, at: (usize, usize)) -> Option<&Value> {
        candidate.row.map(|row| &self.items.values(at.0, row)[at.1])
    }
}

/// The candidates as the joined row takes them.
pub(super) fn pool(sources: &[String], candidates: &[Candidate]) -> Pool {
    Pool {
        sources: sources.to_vec(),
        items: candidates.iter().map(|candidate| candidate.item).collect(),
        hits: (0..sources.len())
            .map(|at| candidates.iter().map(|candidate| candidate.hits[at]).collect())
            .collect(),
    }
}

/// What a cursor remembers of an item.
pub(super) fn fingerprint(item: &str) -> u64 {
    let hash = blake3::hash(item.as_bytes());
    u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
}
