//! A lane: (source, entity) with all its groups, compiled. What commits and is read together.

mod alike;
mod build;
mod evaluate;
mod retention;
mod size;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use record::LaneId;

use crate::expression::{Expression, map_type};
use crate::{Definitions, Group, Rejection, Source, Window};

pub(crate) use build::{CompiledFeature, CompiledGroup, Part, build};
pub use retention::{EPOCH_HALF_LIVES, EPOCHS_KEPT};
pub use size::{
    BUCKETS, BY_BYTES_MAX, IDENTITIES_MAX, ITEM_BYTES_MAX, STATE_BYTES_MAX, TEXT_BYTES_MAX,
};

/// Greatest magnitude of a scaled value: every integer up to it is exact in a double.
pub const SCALED_MAX: i64 = 1 << 53;

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
    /// The distinct expressions, in the order of [`Columns::columns`].
    pub expressions: Vec<LaneExpression>,
}

/// A distinct expression of a lane.
#[derive(Debug, Clone)]
pub struct LaneExpression {
    /// As the first feature that uses it wrote it.
    pub sql: String,
    /// Compiled over the source's columns.
    pub expression: Expression,
    /// What becomes of its values.
    pub conversion: Conversion,
}

/// What the fold wants of an expression's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// `Boolean` without nulls: null does not admit a row.
    Filter,
    /// `Utf8`, `Int64`, `Float64` or `Boolean` as it is.
    Plain,
    /// `Int64`: the value × 10^scale, rounded half to even, within ± [`SCALED_MAX`].
    Scaled(u8),
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
    Count {
        /// What it covers.
        window: Window,
    },
    /// Fixed-point sum of an `Int64` column that is scaled already.
    Sum {
        /// Column of the values.
        value: usize,
        /// Decimal digits.
        scale: u8,
        /// What it covers.
        window: Window,
    },
    /// Last non-null value of a `Utf8`, `Int64`, `Float64` or `Boolean` column.
    Last {
        /// Column of the values.
        value: usize,
    },
    /// Rows per value of a `Utf8` column; a null counts nowhere.
    CountBy {
        /// Column of the keys.
        by: usize,
        /// Keys per tile that are counted exactly.
        limit: u32,
        /// What it covers.
        window: Window,
    },
    /// Last `limit` rows: a `Utf8` column and a `Utf8` tag; a null value is no element.
    Sequence {
        /// Column of the items.
        value: usize,
        /// Column of the tags.
        tag: Option<usize>,
        /// Greatest length.
        limit: u32,
    },
    /// Decayed fixed-point sum of a scaled `Int64` column, or of 1 per row.
    DecayedSum {
        /// Column of the values.
        value: Option<usize>,
        /// Decimal digits.
        scale: u8,
        /// Time in which a value halves, in microseconds.
        half_life_us: i64,
    },
    /// Derived at the read from the sequence feature with this index into [`Lane::features`].
    InterestVector {
        /// Index of the sequence.
        over: usize,
        /// Time in which a weight halves, in microseconds.
        half_life_us: i64,
    },
}

/// The columns that a lane's expressions gave for a batch.
#[derive(Debug, Clone)]
pub struct Columns {
    /// One array per distinct expression, as many rows as the batch. Filters are `Boolean` without
    /// nulls; sums and decayed sums are `Int64`, scaled to fixed point and rounded to even. Rows that were
    /// rejected hold anything.
    pub columns: Vec<ArrayRef>,
    /// Rows whose entity key is empty or whose expressions failed alone, ascending: dead letters of
    /// this lane. Rows that the decoder rejected are not repeated.
    pub rejections: Vec<Rejection>,
}

impl Lane {
    /// Whether the entity is the stream key, so that one stored value holds admission and state.
    #[must_use]
    pub fn is_stream_keyed(&self) -> bool {
        self.entity_column == self.source.key
    }

    /// The Arrow type of a feature's column in the joined row.
    ///
    /// Counts are `Int64`, sums `Float64`, `last` has its expression's type, a map is
    /// [`map_type`], a sequence `List<Struct<item: Utf8, at: Timestamp(µs), tag: Utf8>>`, a vector
    /// `List<Float32>`.
    #[must_use]
    pub fn feature_type(&self, feature: &LaneFeature) -> DataType {
        match &feature.operation {
            Operation::Count { .. } => DataType::Int64,
            Operation::Sum { .. } | Operation::DecayedSum { .. } => DataType::Float64,
            Operation::Last { value } => self.expressions[*value].expression.data_type().clone(),
            Operation::CountBy { .. } => map_type(),
            Operation::Sequence { .. } => sequence_type(),
            Operation::InterestVector { .. } => vector_type(),
        }
    }
}

/// The Arrow type of a sequence feature: `List<Struct<item, at, tag>>`, oldest first.
#[must_use]
pub fn sequence_type() -> DataType {
    let element = DataType::Struct(Fields::from(vec![
        Field::new("item", DataType::Utf8, false),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("tag", DataType::Utf8, false),
    ]));
    DataType::List(Arc::new(Field::new("item", element, false)))
}

/// The Arrow type of an interest vector: `List<Float32>`.
#[must_use]
pub fn vector_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float32, false)))
}

impl Definitions {
    /// The lanes, sorted by (source, entity).
    #[must_use]
    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.lanes.clone()
    }
}
