//! The two clocks against the fold driven by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use batch::Records;
use batch::plan::{Engine, EngineSettings, Order, Scan, SpineRow, When};
use definitions::Lane;
use definitions::decode::Decoder;
use fold::{
    Embedding, EntityState, Head, LanePartition, StateKey, Verdict, encode_values, read_time,
};
use proptest::prelude::*;
use record::{EventTime, LogId, Offset, Partition};

use super::memory::Memory;
use super::shop::{self, PARTITIONS, START_US};

pub(crate) fn run<T>(job: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(job)
}

/// One partition's lane at a position, through the updater's own entry.
pub(crate) fn partition_at(
    log: &Memory,
    lane: &Arc<Lane>,
    partition: u32,
    next: u64,
) -> LanePartition {
    let mut state =
        LanePartition::new(Arc::clone(lane), Partition(partition), Head::start(LogId([0; 16])));
    let mut records = log.records(&lane.source.topic, partition);
    records.truncate(next as usize);
    let decoder = Decoder::new(Arc::clone(&lane.source), Partition(partition), PARTITIONS as u32);
    for records in records.chunks(7) {
        let batch = decoder.decode(records);
        let columns = lane.evaluate(&batch);
        state.apply(&batch, &columns);
    }
    state
}

/// Values of an entity as the service reads them from the store.
pub(crate) fn served(
    log: &Memory,
    lane: &Arc<Lane>,
    key: &str,
    positions: &[(u32, u64)],
    as_of: i64,
    embedding: Option<&dyn Embedding>,
) -> (Vec<u8>, EventTime) {
    let mut state = EntityState::empty(lane);
    let mut watermark = EventTime::MIN;
    for &(partition, next) in positions {
        let at = partition_at(log, lane, partition, next);
        watermark = watermark.max(at.head().watermark);
        if let Some(bytes) = at.state(&StateKey::entity(lane, key)) {
            state.merge(&EntityState::decode(lane, &bytes).unwrap());
        }
    }
    let at = read_time(EventTime(as_of), &state, [watermark]);
    (encode_values(&state.values(lane, at, embedding)), watermark)
}

fn scan(records: &Records, extent: batch::Extent, order: Order) -> Scan {
    let (watermarks_at, watch) = (Arc::default(), Arc::new(|_| ()));
    Scan { records: records.clone(), extent, order, keys: None, watermarks_at, watch }
}

pub(crate) fn engine() -> Engine {
    Engine::new(&EngineSettings { cores: 2, ..EngineSettings::default() }).unwrap()
}

fn lane(entity: &str) -> Arc<Lane> {
    let lanes = shop::definitions().lanes();
    let lane = lanes.iter().find(|l| l.source.name == "clickstream" && l.entity == entity);
    Arc::clone(lane.unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn as_served_visitors_are_what_the_store_held(
        seed in any::<u64>(),
        picks in prop::collection::vec((0usize..6, 0.0f64..1.0, -7200i64..7200), 1..8),
    ) {
        let log = Arc::new(shop::log());
        shop::fill(&log, seed, 120, 6, 8, 1);
        let lane = lane("visitor");
        let embedding = shop::Vectors::new(8);
        let mut rows = Vec::new();
        let mut expected = Vec::new();
        let mut wanted: BTreeMap<Partition, std::collections::BTreeSet<Offset>> = BTreeMap::new();
        for (visitor, share, skew) in picks {
            let key = format!("v{visitor}");
            let partition = record::partition_for_key(key.as_bytes(), PARTITIONS as u32);
            let records = log.records("clickstream", partition.0).len() as f64;
            let next = (records * share).round() as u64;
            let as_of = START_US + (shop::DAY_US as f64 * share) as i64 + skew * shop::SECOND_US;
            let position = [(partition.0, next)];
            let (values, watermark) = served(&log, &lane, &key, &position, as_of, Some(&*embedding));
            wanted.entry(partition).or_default().insert(Offset(next));
            rows.push(SpineRow {
                key: key.into(),
                when: When::Position(Offset(next)),
                at: EventTime(as_of).max(watermark),
                embedding: Some(0),
            });
            expected.push((partition, next, watermark, values));
        }
        run(async {
            let records = Records::Log(log.clone());
            let extent = records.extent("clickstream").await.unwrap();
            let scan = Scan { watermarks_at: Arc::new(wanted), ..scan(&records, extent, Order::Position) };
            let (found, report) = engine().values(&lane, scan, &rows, vec![embedding]).await.unwrap();
            for ((partition, next, watermark, values), found) in expected.iter().zip(&found) {
                assert_eq!(*found.1, **values);
                assert_eq!(report.watermarks[&(*partition, Offset(*next))], *watermark);
            }
            for (partition, ledger) in report.ledgers {
                let all = log.records("clickstream", partition.0).len() as u64;
                let head = partition_at(&log, &lane, partition.0, all).head().clone();
                assert_eq!(ledger, head.ledger);
            }
        });
    }

    #[test]
    fn as_served_items_are_what_each_version_of_the_table_held(
        seed in any::<u64>(),
        mut shares in prop::collection::vec(prop::array::uniform4(0.0f64..1.0), 1..5),
    ) {
        let log = Arc::new(shop::log());
        shop::fill(&log, seed, 120, 6, 5, 1);
        let lane = lane("item");
        // Positions that only rise, each partition by itself.
        for partition in 0..PARTITIONS {
            let mut column: Vec<f64> = shares.iter().map(|s| s[partition]).collect();
            column.sort_by(f64::total_cmp);
            shares.iter_mut().zip(column).for_each(|(s, share)| s[partition] = share);
        }
        let next = |partition: usize, share: f64| {
            (log.records("clickstream", partition as u32).len() as f64 * share).round() as u64
        };
        let versions: Vec<Vec<Offset>> = shares
            .iter()
            .map(|s| (0..PARTITIONS).map(|p| Offset(next(p, s[p]))).collect())
            .collect();
        let mut rows = Vec::new();
        let mut expected = Vec::new();
        for (version, positions) in versions.iter().enumerate() {
            let positions: Vec<(u32, u64)> =
                positions.iter().zip(0..).map(|(next, p)| (p, next.0)).collect();
            for item in 0..5 {
                let key = format!("i{item}");
                let as_of = START_US + version as i64 * 3_600 * shop::SECOND_US;
                let (values, watermark) = served(&log, &lane, &key, &positions, as_of, None);
                rows.push(SpineRow {
                    key: key.into(),
                    when: When::Version(version),
                    at: EventTime(as_of).max(watermark),
                    embedding: None,
                });
                expected.push(values);
            }
        }
        run(async {
            let records = Records::Log(log.clone());
            let extent = records.extent("clickstream").await.unwrap();
            let order = Order::Versions(Arc::new(versions));
            let scan = scan(&records, extent, order);
            let (found, _) = engine().values(&lane, scan, &rows, Vec::new()).await.unwrap();
            for (values, found) in expected.iter().zip(&found) {
                assert_eq!(*found.1, **values);
            }
        });
    }

    /// The naive event-time read: of the events that the updater admitted over the whole log, those
    /// strictly before, folded one by one in another order.
    #[test]
    fn event_time_sees_what_is_strictly_before(seed in any::<u64>()) {
        let log = Arc::new(shop::log());
        shop::fill(&log, seed, 150, 4, 6, 1);
        let lane = lane("visitor");
        let mut rows = Vec::new();
        let mut expected = Vec::new();
        for partition in 0..PARTITIONS as u32 {
            let records = log.records("clickstream", partition);
            let decoder = Decoder::new(Arc::clone(&lane.source), Partition(partition), PARTITIONS as u32);
            let batch = decoder.decode(&records);
            let columns = lane.evaluate(&batch);
            let mut state =
                LanePartition::new(Arc::clone(&lane), Partition(partition), Head::start(LogId([0; 16])));
            let verdicts = state.apply(&batch, &columns);
            let applied: Vec<usize> =
                verdicts.iter().filter(|(_, v)| *v == Verdict::Applied).map(|(row, _)| *row).collect();
            let key = |row: usize| String::from_utf8(records[row].key.clone()).unwrap();
            let place = |row: usize| {
                let at = batch.event_times[row].effective(batch.append_times[row]);
                fold::Place { at, partition: Partition(partition), offset: batch.offsets[row] }
            };
            let plan = fold::Plan::new(&lane);
            let inputs = fold::Inputs::new(&plan, &columns);
            for &row in applied.iter().step_by(3) {
                let mut fold = fold::KeyFold::new(&plan);
                for &other in applied.iter().rev() {
                    if key(other) == key(row) && place(other) < place(row) {
                        fold.push(&inputs, other, place(other));
                    }
                }
                let fold::Place { at, partition, offset } = place(row);
                expected.push(encode_values(&fold.values(at, None)));
                let when = When::Before { at, partition, offset };
                rows.push(SpineRow { key: key(row).into(), when, at, embedding: None });
            }
        }
        run(async {
            let records = Records::Log(log.clone());
            let extent = records.extent("clickstream").await.unwrap();
            let scan = scan(&records, extent, Order::EventTime);
            let (found, _) = engine().values(&lane, scan, &rows, Vec::new()).await.unwrap();
            for (values, found) in expected.iter().zip(&found) {
                assert_eq!(*found.1, **values);
            }
        });
    }
}

#[test]
fn sorts_that_spill_give_the_same_values() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 5, 6_000, 40, 30, 2);
    let lane = lane("visitor");
    let rows: Vec<SpineRow> = (0..40)
        .map(|visitor| SpineRow {
            key: format!("v{visitor}").into(),
            when: When::Through(EventTime(START_US + shop::DAY_US)),
            at: EventTime(START_US + shop::DAY_US),
            embedding: None,
        })
        .collect();
    run(async {
        let records = Records::Log(log.clone());
        let extent = records.extent("clickstream").await.unwrap();
        let mut all = Vec::new();
        for memory_bytes in [1 << 30, 24 << 20] {
            let settings = EngineSettings { memory_bytes, spill_dir: None, cores: 2 };
            let engine = Engine::new(&settings).unwrap();
            let scan = scan(&records, extent.clone(), Order::EventTime);
            all.push(engine.values(&lane, scan, &rows, Vec::new()).await.unwrap().0);
        }
        assert!(all[0] == all[1]);
    });
}
