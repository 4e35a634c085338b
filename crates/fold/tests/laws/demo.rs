//! The demo's own definitions, from JSON bytes to values.

use std::{collections::BTreeMap, sync::Arc};

use definitions::{
    Definitions, Lane,
    decode::Decoder,
    parse::{File, parse},
};
use fold::{
    EntityState, Inputs, KeyFold, Place, Plan, StateKey,
    workload::{Bench, Settings, Workload, single_feature_lanes},
};
use record::Partition;

const FILES: [(&str, &str); 6] = [
    (
        "sources/clickstream.toml",
        include_str!("../../../../feature-definitions/sources/clickstream.toml"),
    ),
    ("sources/catalog.toml", include_str!("../../../../feature-definitions/sources/catalog.toml")),
    (
        "groups/item_attributes.toml",
        include_str!("../../../../feature-definitions/groups/item_attributes.toml"),
    ),
    (
        "groups/item_popularity.toml",
        include_str!("../../../../feature-definitions/groups/item_popularity.toml"),
    ),
    (
        "groups/user_activity.toml",
        include_str!("../../../../feature-definitions/groups/user_activity.toml"),
    ),
    (
        "groups/user_interest.toml",
        include_str!("../../../../feature-definitions/groups/user_interest.toml"),
    ),
];

fn definitions() -> Definitions {
    let file = |(path, text): (&str, &str)| File { path: path.into(), text: text.into() };
    parse(&FILES.map(file)).expect("the demo's definitions are sound")
}

fn clickstream(definitions: &Definitions) -> Vec<Arc<Lane>> {
    let lanes = definitions.lanes().into_iter();
    lanes.filter(|lane| lane.source.name == "clickstream").collect()
}

const SMALL: Settings = Settings {
    seed: 1,
    visitors: 300,
    items: 100,
    exponent: 1.1,
    step_us: 5_000_000,
    copy_one_in: 50,
    late_one_in: 100,
};

#[test]
fn a_load_of_the_demo_is_folded_alike_by_partition_and_by_key() {
    let definitions = definitions();
    let lanes = clickstream(&definitions);
    assert_eq!(lanes.len(), 2);
    for lane in lanes {
        let decoder = Decoder::new(Arc::clone(&lane.source), Partition(0), 1);
        let mut workload = Workload::new(SMALL);
        let mut bench = Bench::new(&[Arc::clone(&lane)], "clickstream");
        let plan = Plan::new(&lane);
        let mut folds: BTreeMap<String, KeyFold> = BTreeMap::new();
        let mut partition = start(&lane);
        for _ in 0..4 {
            let batch = decoder.decode(&workload.records(1500));
            assert!(batch.rejections.is_empty(), "{:?}", batch.rejections);
            bench.step(&batch);
            let columns = lane.evaluate(&batch);
            let inputs = Inputs::new(&plan, &columns);
            let keys = batch.columns.column(lane.entity_column);
            let keys: &arrow::array::StringArray = keys.as_any().downcast_ref().expect("text");
            for (row, verdict) in partition.apply(&batch, &columns) {
                if verdict == fold::Verdict::Applied {
                    let at = batch.event_times[row].effective(batch.append_times[row]);
                    let place = Place { at, partition: Partition(0), offset: batch.offsets[row] };
                    let fold = folds.entry(keys.value(row).to_owned());
                    fold.or_insert_with(|| KeyFold::new(&plan)).push(&inputs, row, place);
                }
            }
        }
        let ledger = partition.head().ledger;
        assert_eq!(ledger.read(), 6000);
        assert!(ledger.applied > 5500 && ledger.duplicate > 50 && ledger.late > 20, "{ledger:?}");
        assert_eq!(bench.lanes()[0].head().ledger, ledger);
        for (key, fold) in &folds {
            let key = StateKey::entity(&lane, key);
            let bytes = partition.state(&key).expect("a state");
            assert_eq!(bench.lanes()[0].state(&key).as_ref(), Some(&bytes));
            let state = EntityState::decode(&lane, &bytes).expect("own bytes");
            assert_eq!(state.encode(), fold.state().encode());
            assert!(bytes.len() < 4096, "a key's state is bounded: {} bytes", bytes.len());
        }
    }
}

fn start(lane: &Arc<Lane>) -> fold::LanePartition {
    fold::LanePartition::new(Arc::clone(lane), Partition(0), fold::Head::start(super::fixture::LOG))
}

#[test]
fn a_feature_alone_has_the_value_that_it_has_among_the_others() {
    let definitions = definitions();
    for lane in clickstream(&definitions) {
        let decoder = Decoder::new(Arc::clone(&lane.source), Partition(0), 1);
        let batch = decoder.decode(&Workload::new(SMALL).records(3000));
        let mut whole = start(&lane);
        whole.apply(&batch, &lane.evaluate(&batch));
        let changes = whole.take_changes();
        let entities: Vec<&StateKey> = changes
            .states
            .iter()
            .map(|change| &change.0)
            .filter(|key| key.entity_key(&lane).is_some())
            .collect();
        assert!(entities.len() > 50);
        let alone = single_feature_lanes(&lane);
        let folded =
            lane.features.iter().filter(|f| alone.iter().any(|(name, _)| name.ends_with(&f.name)));
        assert_eq!(folded.count(), alone.len());
        for (name, single) in alone {
            let mut part = start(&single);
            part.apply(&batch, &single.evaluate(&batch));
            let (group, feature) = name.split_once('.').expect("group.feature");
            let index = lane
                .features
                .iter()
                .position(|f| f.name == feature && lane.groups[f.group].name == group);
            for key in &entities {
                let read = |lane: &Arc<Lane>, bytes: Option<Vec<u8>>| {
                    let state =
                        EntityState::decode(lane, &bytes.expect("a state")).expect("own bytes");
                    state.values(lane, state.greatest(), None)
                };
                let expected =
                    read(&lane, whole.state(key)).swap_remove(index.expect("the feature"));
                assert_eq!(read(&single, part.state(key)), [expected], "{name}");
            }
        }
    }
}
