//! What definitions cost, for `twofold check`: expressions per event, keys per event, bytes per key.
//!
//! Bytes are estimates from above, with texts of [`TEXT_BYTES`] and every tile, map and sequence full;
//! what a log really needs is what `twofold bench fold` measures.

use std::fmt;

use record::LaneId;

use crate::lane::EPOCHS_KEPT;
use crate::{Definitions, Lane, LaneFeature, Operation, Window};

/// Length that an estimate assumes for keys and texts.
pub const TEXT_BYTES: u64 = 32;
/// A varint of a count, or of a time's distance.
const VARINT_BYTES: u64 = 5;
/// A fixed-point sum of 128 bits.
const SUM_BYTES: u64 = 17;

/// All lanes and models, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Lanes, sorted by (source, entity).
    pub lanes: Vec<LaneExplanation>,
    /// Models with the number of their inputs and the hash that bundles pin.
    pub models: Vec<(String, usize, [u8; 32])>,
}

/// One lane, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneExplanation {
    /// Source and entity.
    pub name: (String, String),
    /// Identity; it changes with the meaning of any group.
    pub id: LaneId,
    /// Names of the groups.
    pub groups: Vec<String>,
    /// Distinct expressions, evaluated once per batch, in the order of [`crate::Columns::columns`].
    pub expressions: Vec<ExpressionCost>,
    /// Keys whose state an event changes: the stream key's, and the entity's where that is another.
    pub keys_per_event: u32,
    /// Features with their bytes per key, estimated from above; identities for deduplication come on top.
    pub features: Vec<(String, u64)>,
    /// What a key's state can never exceed, in bytes: every limit met, identities included.
    pub state_bytes_max: u64,
    /// How far the watermark passes a key's last event before a sweep may take the key, in microseconds;
    /// `None`: keys are kept for ever.
    pub sweep_after_us: Option<i64>,
    /// The feature that keeps every key for ever, and how far back it reaches (`None`: everything), in
    /// microseconds.
    pub kept_by: Option<(String, Option<i64>)>,
}

/// What one expression costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionCost {
    /// As the first feature that uses it wrote it.
    pub sql: String,
    /// Passes over a batch, about; a plain column takes none.
    pub kernels: usize,
    /// How many features use it.
    pub uses: usize,
}

impl LaneExplanation {
    /// Bytes per key of all features.
    #[must_use]
    pub fn bytes_per_key_max(&self) -> u64 {
        self.features.iter().map(|(_, bytes)| bytes).sum()
    }

    fn of(lane: &Lane) -> Self {
        let expressions = lane.expressions.iter().enumerate().map(|(index, expression)| {
            let uses = |feature: &&LaneFeature| columns(feature).contains(&Some(index));
            ExpressionCost {
                sql: expression.sql.clone(),
                kernels: expression.expression.kernels(),
                uses: lane.features.iter().filter(uses).count(),
            }
        });
        let name =
            |feature: &LaneFeature| format!("{}.{}", lane.groups[feature.group].name, feature.name);
        Self {
            name: (lane.source.name.clone(), lane.entity.clone()),
            id: lane.id,
            groups: lane.groups.iter().map(|group| group.name.clone()).collect(),
            expressions: expressions.collect(),
            keys_per_event: if lane.is_stream_keyed() { 1 } else { 2 },
            features: lane.features.iter().map(|f| (name(f), bytes(&f.operation))).collect(),
            state_bytes_max: lane.state_bytes_max(),
            sweep_after_us: lane.sweep_after_us(),
            kept_by: lane.kept_by().map(|feature| (name(feature), lane.reach_us(feature))),
        }
    }
}

/// The columns that a feature reads.
fn columns(feature: &LaneFeature) -> [Option<usize>; 3] {
    let (value, tag) = match feature.operation {
        Operation::Count { .. } | Operation::InterestVector { .. } => (None, None),
        Operation::Sum { value, .. } | Operation::Last { value } => (Some(value), None),
        Operation::CountBy { by, .. } => (Some(by), None),
        Operation::Sequence { value, tag, .. } => (Some(value), tag),
        Operation::DecayedSum { value, .. } => (value, None),
    };
    [feature.filter, value, tag]
}

/// Bytes of a full state of one feature.
fn bytes(operation: &Operation) -> u64 {
    let tiles = |window: &Window| match window {
        Window::Lifetime => 1,
        Window::Sliding { window_us, hop_us } => (window_us / hop_us).unsigned_abs(),
    };
    match operation {
        Operation::Count { window } => tiles(window) * 2 * VARINT_BYTES,
        Operation::Sum { window, .. } => tiles(window) * (VARINT_BYTES + SUM_BYTES),
        Operation::Last { .. } => TEXT_BYTES + 2 * VARINT_BYTES,
        Operation::CountBy { limit, window, .. } => {
            tiles(window) * u64::from(*limit) * (TEXT_BYTES + VARINT_BYTES)
        }
        Operation::Sequence { tag, limit, .. } => {
            let tag_bytes = if tag.is_some() { TEXT_BYTES / 4 } else { 0 };
            u64::from(*limit) * (TEXT_BYTES + tag_bytes + 2 * VARINT_BYTES)
        }
        Operation::DecayedSum { .. } => EPOCHS_KEPT.unsigned_abs() * (VARINT_BYTES + SUM_BYTES),
        Operation::InterestVector { .. } => 0,
    }
}

impl LaneExplanation {
    fn fmt_sweep(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kept_by, self.sweep_after_us) {
            (Some((name, None)), _) => {
                writeln!(
                    f,
                    "  keys are kept for ever: {name} counts all there ever was; give it a window"
                )
            }
            (Some((name, Some(reach_us))), _) => {
                let reach = duration(*reach_us);
                writeln!(f, "  keys are kept for ever: {name} reaches back {reach}, past every ttl")
            }
            (None, Some(after_us)) => {
                writeln!(f, "  keys may be swept {} after their last event", duration(after_us))
            }
            (None, None) => Ok(()),
        }
    }
}

impl Definitions {
    /// Explains what the definitions cost.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        Explanation {
            lanes: self.lanes.iter().map(|lane| LaneExplanation::of(lane)).collect(),
            models: self
                .models
                .iter()
                .map(|model| (model.name.clone(), model.inputs.len(), model.hash))
                .collect(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lane in &self.lanes {
            writeln!(f, "{lane}")?;
        }
        for (name, inputs, hash) in &self.models {
            write!(f, "model {name}: {inputs} inputs, hash ")?;
            hash[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for LaneExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, entity) = &self.name;
        writeln!(f, "lane {source} → {entity} ({}): {}", self.id, self.groups.join(", "))?;
        let keys = self.keys_per_event;
        writeln!(f, "  per event: {keys} key{}", if keys == 1 { "" } else { "s" })?;
        for ExpressionCost { sql, kernels, uses } in &self.expressions {
            let cost = match kernels {
                0 => "a column".to_owned(),
                1 => "1 pass".to_owned(),
                more => format!("{more} passes"),
            };
            let uses = if *uses == 1 { String::new() } else { format!("  (in {uses} features)") };
            writeln!(f, "    {cost:>10}  {sql}{uses}")?;
        }
        writeln!(f, "  per key, at most about {}:", size(self.bytes_per_key_max()))?;
        for (name, bytes) in &self.features {
            let bytes = if *bytes == 0 { "derived".to_owned() } else { size(*bytes) };
            writeln!(f, "    {bytes:>10}  {name}")?;
        }
        writeln!(f, "  per key, whatever comes: {}", size(self.state_bytes_max))?;
        self.fmt_sweep(f)
    }
}

/// Such as `90d 10m`; what is less than a millisecond is left out.
fn duration(us: i64) -> String {
    let mut left_ms = us / 1000;
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let parts = units.map(|(unit, ms)| {
        let count = left_ms / ms;
        left_ms %= ms;
        if count == 0 { String::new() } else { format!("{count}{unit}") }
    });
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
