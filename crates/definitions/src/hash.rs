//! What a definition means, as 32 bytes: equal for equal meanings, different for any other.
//!
//! The texts that go in are canonical (expressions are printed again after planning), each with its
//! length in front, so that no two contents share their bytes.

use crate::lane::{BY_BYTES_MAX, CompiledFeature, ITEM_BYTES_MAX, LaneExpression};
use crate::{AggregateSpec, Definitions, Group, Source, Window};

/// Version of the fold's meaning and encoding; part of every group's hash. It rises whenever equal
/// events would give other states, other bytes or other values than before.
pub const FOLD_VERSION: u32 = 4;

/// Version of `libm` whose functions expressions and fold call; a test holds it against the lock file.
pub const LIBM_VERSION: &str = "0.2.16";

/// BLAKE3 over fields that carry their lengths.
pub(crate) struct Hasher(blake3::Hasher);

impl Hasher {
    /// A hash of its own for each kind of thing.
    pub(crate) fn new(kind: &str) -> Self {
        let mut hasher = Self(blake3::Hasher::new());
        hasher.text("twofold definitions").text(kind);
        hasher
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: i64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// The hash of a group: the source's meaning, the group's own, and what evaluates it.
pub(crate) fn group(group: &Group, source: &Source, features: &[CompiledFeature]) -> [u8; 32] {
    let mut hasher = Hasher::new("group");
    hasher.number(i64::from(FOLD_VERSION)).text(LIBM_VERSION).text(datafusion::DATAFUSION_VERSION);
    self::source(&mut hasher, source);
    hasher.text(&group.name).text(&group.entity).text(&group.entity_column).number(group.ttl_us);
    // The order of features is part of a state's encoding and of a read's values.
    for (feature, compiled) in group.features.iter().zip(features) {
        hasher.text("feature").text(&feature.name);
        aggregate(&mut hasher, &feature.aggregate);
        for (part, LaneExpression { expression, .. }) in compiled.parts() {
            hasher
                .text(part)
                .text(expression.canonical())
                .text(&expression.data_type().to_string());
        }
        match feature.default {
            Some(default) => hasher.text("default").number(default.to_bits().cast_signed()),
            None => hasher.text("no default"),
        };
    }
    hasher.finish()
}

/// Every column is in it, also those that no expression reads: a wrong type in any of them makes a
/// record a dead letter, and so changes which events count.
fn source(hasher: &mut Hasher, source: &Source) {
    hasher.text("source").text(&source.name).text(&source.topic).text("json");
    let mut columns: Vec<_> = source.columns.iter().collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    for column in columns {
        let optional = if column.optional { "optional" } else { "required" };
        hasher.text(&column.name).text(column.column_type.name()).text(optional);
    }
    for index in [source.key, source.event_time, source.event_id] {
        hasher.text(&source.columns[index].name);
    }
    hasher
        .number(source.allowed_lateness_us)
        .number(source.max_future_us)
        .number(source.earliest_us);
}

fn aggregate(hasher: &mut Hasher, aggregate: &AggregateSpec) {
    hasher.text(aggregate.name());
    let window = |hasher: &mut Hasher, window: &Window| {
        match window {
            Window::Lifetime => hasher.text("lifetime"),
            Window::Sliding { window_us, hop_us } => hasher.number(*window_us).number(*hop_us),
        };
    };
    match aggregate {
        AggregateSpec::Count { window: covers } => window(hasher, covers),
        AggregateSpec::Sum { scale, window: covers, .. } => {
            hasher.number(i64::from(*scale));
            window(hasher, covers);
        }
        AggregateSpec::Last { .. } => {}
        AggregateSpec::CountBy { limit, window: covers, .. } => {
            // What is longer is a dead letter, so the bound is part of the meaning.
            hasher.text("by").number(i64::from(*limit)).number(BY_BYTES_MAX as i64);
            window(hasher, covers);
        }
        AggregateSpec::Sequence { limit, .. } => {
            hasher.number(i64::from(*limit));
            hasher.number(ITEM_BYTES_MAX as i64).number(BY_BYTES_MAX as i64);
        }
        AggregateSpec::DecayedSum { scale, half_life_us, .. } => {
            hasher.number(i64::from(*scale)).number(*half_life_us);
        }
        AggregateSpec::InterestVector { over, half_life_us } => {
            hasher.text(over).number(*half_life_us);
        }
    }
}

impl Definitions {
    /// BLAKE3 over the meaning of all sources, groups and models. A bundle that pins one model's inputs
    /// uses that model's own [`crate::Model::hash`].
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Hasher::new("definitions");
        for source in &self.sources {
            self::source(&mut hasher, source);
        }
        for group in &self.groups {
            hasher.text("group").text(&group.name).bytes(&group.hash);
        }
        for model in &self.models {
            hasher.text("model").text(&model.name).bytes(&model.hash);
        }
        hasher.finish()
    }
}
