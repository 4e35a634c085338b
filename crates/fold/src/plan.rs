//! How a lane's features lie in a state: features of the same aggregate, expression and filter share a
//! slot where their windows share a hop.

use std::sync::Arc;

use arrow::datatypes::DataType;
use definitions::{Lane, LaneFeature, Operation};
use record::EventTime;

use crate::{
    EntityState, Error, Value,
    aggregate::{Cell, decayed_sum::HalfLife},
    tiles::Tiling,
};

/// A lane's layout: what its states hold, and how its features are read from them. Cheap to make, cheaper
/// to keep: who decodes many states makes one and passes it around.
#[derive(Debug, PartialEq)]
pub struct Plan {
    pub(crate) slots: Vec<Slot>,
    pub(crate) reads: Vec<Read>,
    pub(crate) lateness_us: i64,
    pub(crate) stream_keyed: bool,
}

/// What is folded, once, for every feature that reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) filter: Option<usize>,
    pub(crate) kind: SlotKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SlotKind {
    Count { tiling: Tiling },
    Sum { value: usize, tiling: Tiling },
    Last { value: usize, ttl_us: i64 },
    Keyed { by: usize, limit: usize, tiling: Tiling },
    Sequence { value: usize, tag: Option<usize>, limit: usize, ttl_us: i64 },
    Decayed { value: Option<usize>, half_life: HalfLife },
}

/// How a feature is read from its slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) slot: usize,
    pub(crate) kind: ReadKind,
    pub(crate) ttl_us: i64,
    pub(crate) default: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ReadKind {
    Count {
        hops: i64,
    },
    Sum {
        hops: i64,
        scale: u8,
    },
    /// Whether the values are integers: it decides the type of the default.
    Last {
        is_integer: bool,
    },
    Keyed {
        hops: i64,
    },
    Sequence,
    Decayed {
        scale: u8,
    },
    Interest {
        half_life_us: i64,
    },
}

impl Plan {
    /// The layout of a lane.
    #[must_use]
    pub fn new(lane: &Lane) -> Arc<Self> {
        let mut plan = Self {
            slots: Vec::with_capacity(lane.features.len()),
            reads: Vec::with_capacity(lane.features.len()),
            lateness_us: lane.source.allowed_lateness_us,
            stream_keyed: lane.is_stream_keyed(),
        };
        for feature in &lane.features {
            let ttl_us = lane.groups[feature.group].ttl_us;
            let (slot, kind) = plan.lay(lane, feature, ttl_us);
            plan.reads.push(Read { slot, kind, ttl_us, default: feature.default });
        }
        Arc::new(plan)
    }

    /// Decodes what [`crate::LanePartition`] wrote under an entity's key.
    ///
    /// # Errors
    /// Damaged bytes, or of another version.
    pub fn decode(self: &Arc<Self>, bytes: &[u8]) -> Result<EntityState, Error> {
        EntityState::decode_with(self, bytes)
    }

    /// What a read gives of an entity that nothing is known of.
    #[must_use]
    pub fn defaults(&self) -> Vec<Value> {
        self.reads.iter().map(Read::nothing).collect()
    }

    /// Empty cells, one per slot.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.slots.iter().map(|slot| slot.kind.empty())
    }

    fn lay(&mut self, lane: &Lane, feature: &LaneFeature, ttl_us: i64) -> (usize, ReadKind) {
        let (kind, read) = match &feature.operation {
            Operation::Count { window } => {
                let tiling = Tiling::of(*window);
                (SlotKind::Count { tiling }, ReadKind::Count { hops: tiling.hops })
            }
            Operation::Sum { value, scale, window } => {
                let tiling = Tiling::of(*window);
                let read = ReadKind::Sum { hops: tiling.hops, scale: *scale };
                (SlotKind::Sum { value: *value, tiling }, read)
            }
            Operation::Last { value } => {
                let expression = lane.expressions.get(*value);
                let is_integer = expression
                    .is_some_and(|found| *found.expression.data_type() == DataType::Int64);
                (SlotKind::Last { value: *value, ttl_us }, ReadKind::Last { is_integer })
            }

            Operation::CountBy { by, limit, window } => {
                let tiling = Tiling::of(*window);
                let kind = SlotKind::Keyed { by: *by, limit: *limit as usize, tiling };
                (kind, ReadKind::Keyed { hops: tiling.hops })
            }
            Operation::Sequence { value, tag, limit } => {
                let kind = SlotKind::Sequence {
                    value: *value,
                    tag: *tag,
                    limit: (*limit).max(1) as usize,
                    ttl_us,
                };
                (kind, ReadKind::Sequence)
            }
            Operation::DecayedSum { value, scale, half_life_us } => {
                let half_life = HalfLife::new(*half_life_us);
                (
                    SlotKind::Decayed { value: *value, half_life },
                    ReadKind::Decayed { scale: *scale },
                )
            }
            Operation::InterestVector { over, half_life_us } => {
                // The sequence may stand after its vector in the file, so its slot is made on demand.
                let sequence = &lane.features[*over];
                let sequence_ttl_us = lane.groups[sequence.group].ttl_us;
                let (slot, _) = self.lay(lane, sequence, sequence_ttl_us);
                return (slot, ReadKind::Interest { half_life_us: *half_life_us });
            }
        };
        (self.share(Slot { filter: feature.filter, kind }), read)
    }

    /// The slot that folds the same, widened where it keeps a shorter window, or a new one.
    fn share(&mut self, wanted: Slot) -> usize {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.filter == wanted.filter && slot.kind.widen(&wanted.kind) {
                return index;
            }
        }
        self.slots.push(wanted);
        self.slots.len() - 1
    }
}

impl SlotKind {
    fn tiling_mut(&mut self) -> Option<&mut Tiling> {
        match self {
            Self::Count { tiling } | Self::Sum { tiling, .. } | Self::Keyed { tiling, .. } => {
                Some(tiling)
            }
            Self::Last { .. } | Self::Sequence { .. } | Self::Decayed { .. } => None,
        }
    }

    /// Takes over what `wanted` needs, if the two differ in the length of their windows only.
    fn widen(&mut self, wanted: &Self) -> bool {
        let mut wider = wanted.clone();
        if let (Some(mine), Some(other)) = (self.tiling_mut().copied(), wider.tiling_mut()) {
            other.hops = other.hops.max(mine.hops);
            let hops = other.hops;
            let mut same = self.clone();
            if let Some(tiling) = same.tiling_mut() {
                tiling.hops = hops;
            }
            if same == wider {
                *self = wider;
                return true;
            }
            return false;
        }
        *self == wider
    }
}

impl Read {
    /// What a read gives where there is nothing.
    pub(crate) fn nothing(&self) -> Value {
        match self.kind {
            ReadKind::Count { .. } => Value::Int(self.default.unwrap_or(0.0) as i64),
            ReadKind::Sum { .. } | ReadKind::Decayed { .. } => {
                Value::Float(self.default.unwrap_or(0.0))
            }
            ReadKind::Last { is_integer: true } => {
                self.default.map_or(Value::Null, |default| Value::Int(default as i64))
            }
            ReadKind::Last { is_integer: false } => self.default.map_or(Value::Null, Value::Float),
            ReadKind::Keyed { .. } => Value::Map { entries: Vec::new(), complete: true },
            ReadKind::Sequence => Value::Sequence(Vec::new()),
            ReadKind::Interest { .. } => Value::Null,
        }
    }

    /// Whether a read at `at` lies past the TTL of a state whose greatest time is `greatest`.
    pub(crate) fn is_expired(&self, greatest: EventTime, at: EventTime) -> bool {
        at > greatest.plus(self.ttl_us)
    }
}
