//! A group: features of one entity from one source, as written in the file.

/// The entity whose features differ from candidate to candidate; all others belong to the visitor.
pub const ITEM_ENTITY: &str = "item";

/// Features of one entity from one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Name, unique among groups; the qualifier of its features in model expressions.
    pub name: String,
    /// Entity, such as `visitor` or `item`.
    pub entity: String,
    /// Name of the source.
    pub source: String,
    /// Column of the source that holds the entity's key.
    pub entity_column: String,
    /// Age past the key's greatest event time at which reads give defaults, in microseconds.
    pub ttl_us: i64,
    /// Features in the order of the file.
    pub features: Vec<Feature>,
    /// BLAKE3 of the semantic content: features, the source's semantics, the fold's version and
    /// those of `libm` and DataFusion. Comments, spelling and order of keys do not count.
    pub hash: [u8; 32],
}

/// A feature as written: an aggregate with its SQL texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Name, unique in the group.
    pub name: String,
    /// What is computed.
    pub aggregate: AggregateSpec,
    /// SQL predicate over the source's columns; rows where it is not true do not count.
    pub filter: Option<String>,
    /// What a read gives where there is nothing (integers and floats only; maps and lists are
    /// empty, text and vectors are null).
    pub default: Option<f64>,
}

/// The aggregates, with SQL texts over the source's columns.
#[derive(Debug, Clone, PartialEq)]
pub enum AggregateSpec {
    /// Number of events: `Int64`.
    Count {
        /// What it covers.
        window: Window,
    },
    /// Fixed-point sum with `scale` decimal digits: `Float64` at the read, i128 inside.
    Sum {
        /// SQL of a number.
        value: String,
        /// Decimal digits.
        scale: u8,
        /// What it covers.
        window: Window,
    },
    /// Value of the last event in the total order whose value is not null.
    Last {
        /// SQL of text, an integer, a float, or true or false.
        value: String,
    },
    /// Count per value of `by`: map of text to `Int64`, exact up to `limit` keys per tile.
    CountBy {
        /// SQL of text.
        by: String,
        /// Keys per tile that are counted exactly.
        limit: u32,
        /// What it covers.
        window: Window,
    },
    /// Last `limit` events as (item, time, tag), oldest first.
    Sequence {
        /// SQL of text: the item.
        value: String,
        /// SQL of text: what happened.
        tag: Option<String>,
        /// Greatest length.
        limit: u32,
    },
    /// Exponentially decayed fixed-point sum: `Float64`.
    DecayedSum {
        /// SQL of a number; 1 per event where it is absent.
        value: Option<String>,
        /// Decimal digits.
        scale: u8,
        /// Time in which a value halves, in microseconds.
        half_life_us: i64,
    },
    /// Decay-weighted, normalised sum of item vectors over the sequence feature `over`.
    InterestVector {
        /// Name of the sequence feature in the same group.
        over: String,
        /// Time in which a weight halves, in microseconds.
        half_life_us: i64,
    },
}

impl AggregateSpec {
    /// The word in a definition (`CountBy` is a `count` with `by`).
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count { .. } | Self::CountBy { .. } => "count",
            Self::Sum { .. } => "sum",
            Self::Last { .. } => "last",
            Self::Sequence { .. } => "sequence",
            Self::DecayedSum { .. } => "decayed_sum",
            Self::InterestVector { .. } => "interest_vector",
        }
    }
}

/// What a windowed aggregate covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// Everything.
    Lifetime,
    /// `(floor_hop(t) − window + hop … t]`.
    Sliding {
        /// Length in microseconds, a multiple of the hop.
        window_us: i64,
        /// Step of the tail in microseconds.
        hop_us: i64,
    },
}
