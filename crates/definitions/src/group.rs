//! A group: features of one entity from one source, as written in the file.

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
    Count { window: Window },
    /// Fixed-point sum with `scale` decimal digits: `Float64` at the read, i128 inside.
    Sum { value: String, scale: u8, window: Window },
    /// Value of the last event in the total order whose value is not null.
    Last { value: String },
    /// Count per value of `by`: map of text to `Int64`, exact up to `limit` keys per tile.
    CountBy { by: String, limit: u32, window: Window },
    /// Last `limit` events as (item, time, tag), oldest first.
    Sequence { value: String, tag: Option<String>, limit: u32 },
    /// Exponentially decayed fixed-point sum: `Float64`.
    DecayedSum { value: Option<String>, scale: u8, half_life_us: i64 },
    /// Decay-weighted, normalised sum of item vectors over the sequence feature `over`.
    InterestVector { over: String, half_life_us: i64 },
}

/// What a windowed aggregate covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// Everything.
    Lifetime,
    /// `(floor_hop(t) − window + hop … t]`; both in microseconds, `window` a multiple of `hop`.
    Sliding { window_us: i64, hop_us: i64 },
}
