//! A lane: (source, entity) with all its groups, compiled. What commits and is read together.

use std::sync::Arc;

use arrow::array::ArrayRef;
use record::LaneId;

use crate::{Definitions, EventBatch, Group, Rejection, Source, Window};

/// (source, entity) with all its groups, compiled to physical expressions.
#[derive(Debug, Clone)]
pub struct Lane {
    /// 8 bytes of BLAKE3 over (source, entity, sorted group hashes).
    pub id: LaneId,
    /// The source it folds.
    pub source: Arc<Source>,
    /// The entity it keys by.
    pub entity: String,
    /// Index into the source's columns of the entity's key.
    pub entity_column: usize,
    /// Its groups, sorted by name.
    pub groups: Vec<Arc<Group>>,
    /// Features of all groups, in the order of `groups`, then of the file.
    pub features: Vec<LaneFeature>,
}

/// A feature of a lane, with its expressions resolved to indices into [`Columns::columns`].
#[derive(Debug, Clone, PartialEq)]
pub struct LaneFeature {
    /// Index into [`Lane::groups`].
    pub group: usize,
    /// Name in its group.
    pub name: String,
    /// What the fold does.
    pub operation: Operation,
    /// Index of the Boolean column that admits a row, if there is a filter.
    pub filter: Option<usize>,
    /// Value of a read where there is nothing.
    pub default: Option<f64>,
}

/// An aggregate over evaluated columns. Column numbers index [`Columns::columns`].
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Number of rows.
    Count { window: Window },
    /// Fixed-point sum of an `Int64` column that is scaled already.
    Sum { value: usize, scale: u8, window: Window },
    /// Last non-null value of a `Utf8`, `Int64`, `Float64` or `Boolean` column.
    Last { value: usize },
    /// Rows per value of a `Utf8` column.
    CountBy { by: usize, limit: u32, window: Window },
    /// Last `limit` rows: a `Utf8` column and a `Utf8` tag.
    Sequence { value: usize, tag: Option<usize>, limit: u32 },
    /// Decayed fixed-point sum of a scaled `Int64` column, or of 1 per row.
    DecayedSum { value: Option<usize>, scale: u8, half_life_us: i64 },
    /// Derived at the read from the sequence feature with this index into [`Lane::features`].
    InterestVector { over: usize, half_life_us: i64 },
}

/// The columns that a lane's expressions gave for a batch.
#[derive(Debug, Clone)]
pub struct Columns {
    /// One array per distinct expression, as many rows as the batch. Sums and decayed sums are
    /// `Int64`, scaled to fixed point and rounded to even.
    pub columns: Vec<ArrayRef>,
    /// Rows whose expressions failed alone, ascending: dead letters of this lane.
    pub rejections: Vec<Rejection>,
}

impl Lane {
    /// Whether the entity is the stream key, so that one stored value holds admission and state.
    #[must_use]
    pub fn is_stream_keyed(&self) -> bool {
        self.entity_column == self.source.key
    }

    /// Evaluates each distinct expression over the batch, with row semantics: a row's value is what
    /// it would be alone; a row that fails alone is rejected, no other row is touched.
    #[must_use]
    pub fn evaluate(&self, batch: &EventBatch) -> Columns {
        let _ = batch;
        unimplemented!()
    }
}

impl Definitions {
    /// Compiles the lanes, sorted by (source, entity).
    #[must_use]
    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        unimplemented!()
    }
}
