use std::sync::Arc;

use definitions::{EventBatch, Lane, LaneFeature, Operation};
use record::{LogId, Partition};

use crate::{Head, LanePartition, Prepared};

/// What `bench fold` times: a batch through expressions, admission and fold, in every lane of a source.
#[derive(Debug)]
pub struct Bench {
    lanes: Vec<LanePartition>,
}

impl Bench {
    /// Empty lanes of one source; lanes of other sources are left out.
    #[must_use]
    pub fn new(lanes: &[Arc<Lane>], source: &str) -> Self {
        let lanes = lanes.iter().filter(|lane| lane.source.name == source);
        let start = |lane: &Arc<Lane>| {
            LanePartition::new(Arc::clone(lane), Partition(0), Head::start(LogId([0; 16])))
        };
        Self { lanes: lanes.map(start).collect() }
    }

    /// The lanes.
    #[must_use]
    pub fn lanes(&self) -> &[LanePartition] {
        &self.lanes
    }

    /// Evaluates, judges and folds a batch in every lane; gives the rows applied in the first.
    pub fn step(&mut self, batch: &EventBatch) -> u64 {
        let Some(first) = self.lanes.first() else { return 0 };
        let before = first.head().ledger.applied;
        let prepared = Prepared::new(batch, &first.lane().source);
        for lane in &mut self.lanes {
            let columns = lane.lane().evaluate(batch);
            lane.apply_prepared(&prepared, &columns);
        }
        self.lanes[0].head().ledger.applied - before
    }

    /// Encodes what changed since the last call, as a commit would: bytes written.
    pub fn commit(&mut self) -> usize {
        let changes = self.lanes.iter_mut().map(LanePartition::take_changes);
        let bytes = changes.flat_map(|changes| changes.states).filter_map(|(_, bytes)| bytes);
        bytes.map(|bytes| bytes.len()).sum()
    }

    /// Mean encoded bytes of an entity with features, per lane: (entity, entities, bytes each). Counts
    /// what changed since the last commit, so it is asked once, at the end.
    pub fn entity_bytes(&mut self) -> Vec<(String, usize, f64)> {
        let mut sizes = Vec::with_capacity(self.lanes.len());
        for lane in &mut self.lanes {
            let definition = Arc::clone(lane.lane());
            let states = lane.take_changes().states;
            let states = states.iter().filter(|(key, _)| key.entity_key(&definition).is_some());
            let lengths: Vec<usize> =
                states.filter_map(|(_, bytes)| bytes.as_ref().map(Vec::len)).collect();
            let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
            sizes.push((definition.entity.clone(), lengths.len(), mean));
        }
        sizes
    }
}

/// One lane per feature of `lane`, by the feature's name, with that feature's expressions only: what each
/// costs by itself, admission included. An interest vector is derived at the read and costs nothing here,
/// so it has none.
#[must_use]
pub fn single_feature_lanes(lane: &Lane) -> Vec<(String, Arc<Lane>)> {
    let folded = lane.features.iter();
    let folded =
        folded.filter(|feature| !matches!(feature.operation, Operation::InterestVector { .. }));
    let alone = |feature: &LaneFeature| {
        let name = format!("{}.{}", lane.groups[feature.group].name, feature.name);
        (name, Arc::new(alone(lane, feature)))
    };
    folded.map(alone).collect()
}

fn alone(lane: &Lane, feature: &LaneFeature) -> Lane {
    let mut feature = feature.clone();
    let mut expressions = Vec::new();
    let mut keep = |column: &mut usize| {
        expressions.push(lane.expressions[*column].clone());
        *column = expressions.len() - 1;
    };
    feature.filter.iter_mut().for_each(&mut keep);
    match &mut feature.operation {
        Operation::Count { .. } | Operation::InterestVector { .. } => {}
        Operation::Sum { value, .. } | Operation::Last { value } => keep(value),
        Operation::CountBy { by, .. } => keep(by),
        Operation::DecayedSum { value, .. } => value.iter_mut().for_each(keep),
        Operation::Sequence { value, tag, .. } => {
            keep(value);
            tag.iter_mut().for_each(keep);
        }
    }
    Lane { features: vec![feature], expressions, ..lane.clone() }
}
