use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type, UInt8Type, UInt64Type};
use batch::Records;
use batch::examples::{Manifest, Report, Settings, Towers, assemble};
use batch::history::History;
use batch::indexes::Store;
use batch::plan::{Engine, EngineSettings};
use definitions::Definitions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use record::EventTime;

use super::memory::Memory;
use super::shop::{self, DAY_US, START_US};

async fn training_set(log: &Arc<Memory>, dir: &Path, settings: &Settings) -> (History, Report) {
    training_set_of(log, dir, settings, &shop::definitions()).await
}

async fn training_set_of(
    log: &Arc<Memory>,
    dir: &Path,
    settings: &Settings,
    definitions: &Definitions,
) -> (History, Report) {
    let engine = Engine::new(&EngineSettings { cores: 2, ..EngineSettings::default() }).unwrap();
    let records = Records::Log(log.clone());
    let history = History::read(&engine, &records, definitions, Arc::new(|_| ())).await.unwrap();
    let towers = Towers {
        embedding: shop::Vectors::new(30),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US + DAY_US - 1),
    };
    let store = Store::new(dir.join("indexes"));
    let root = dir.join("training");
    let report = assemble(
        &engine,
        &records,
        definitions,
        &history,
        &store,
        &root,
        Some(&towers),
        settings,
        &|_| (),
    );
    let report = report.await.unwrap();
    (history, report)
}

fn settings() -> Settings {
    Settings { spine_from: EventTime(START_US + DAY_US), chunk: 64, ..Settings::default() }
}

fn rows(report: &Report) -> (Manifest, Vec<RecordBatch>) {
    let manifest = std::fs::read(report.dir.join("manifest.json")).unwrap();
    let file = std::fs::File::open(report.dir.join("examples.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    (serde_json::from_slice(&manifest).unwrap(), reader.map(Result::unwrap).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_training_set_is_whole_repeatable_and_says_what_it_left_out() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 3, 1_500, 25, 30, 4);
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (history, report) = training_set(&log, dirs[0].path(), &settings()).await;
    // Another chunking must not change a bit.
    let other = Settings { chunk: 1_000, ..settings() };
    let (_, again) = training_set(&log, dirs[1].path(), &other).await;
    assert_eq!(report.digest, again.digest);
    let (manifest, batches) = rows(&report);
    assert_eq!(manifest, rows(&again).0);
    let spine = history.days().range(START_US + DAY_US..).map(|(_, n)| n).sum::<u64>();
    assert_eq!(
        manifest.positions + manifest.positions_without_target,
        spine,
        "every visitor was seen on the first day"
    );
    assert!(manifest.positions > 100 && manifest.positions_without_target > 0, "{manifest:?}");
    assert_eq!(manifest.days.len(), 3);
    for day in &manifest.days {
        assert!(day.index_cut_us <= day.spine_from_us);
        assert!(day.index_positions.iter().all(|(p, next)| *next <= day.spine_positions[p]));
        let store = Store::new(dirs[0].path().join("indexes"));
        assert_eq!(store.load(&day.index_digest).unwrap().unwrap().cut_us, day.index_cut_us);
    }
    let mut count = 0;
    let mut targets = std::collections::BTreeMap::<u64, u64>::new();
    for batch in &batches {
        count += batch.num_rows() as u64;
        let positions = batch.column(0).as_primitive::<UInt64Type>();
        let clicks = batch.column(3).as_primitive::<UInt8Type>();
        assert!(batch.column(1).as_primitive::<Int64Type>().null_count() == 0);
        for row in 0..batch.num_rows() {
            *targets.entry(positions.value(row)).or_default() += u64::from(clicks.value(row));
        }
        for column in &batch.columns()[6..] {
            assert!(column.as_primitive::<Float32Type>().values().iter().all(|v| v.is_finite()));
        }
    }
    assert_eq!(count, manifest.rows);
    assert_eq!(targets.len() as u64, manifest.positions);
    assert!(targets.values().all(|clicks| *clicks == 1), "each position has its one target");
    let names: Vec<&str> = manifest.inputs.iter().map(String::as_str).collect();
    let schema = batches[0].schema();
    assert!(schema.fields()[6..].iter().map(|f| f.name().as_str()).eq(names));
    let varies = |column: &arrow::array::ArrayRef| {
        let values = column.as_primitive::<Float32Type>().values();
        values.iter().any(|value| *value != values[0])
    };
    let dull: Vec<_> = (6..schema.fields().len())
        .filter(|&n| !batches.iter().any(|b| varies(b.column(n))))
        .collect();
    assert!(dull.is_empty(), "columns {dull:?} say nothing");
}

/// The future may not be seen: what happens after a position must not change its rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_later_changes_no_row() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut found = Vec::new();
    for (dir, later) in dirs.iter().zip([0, 400]) {
        let log = Arc::new(shop::log());
        shop::fill(&log, 3, 900, 25, 30, 3);
        let end = START_US + 3 * DAY_US;
        for n in 0..later {
            let at = end + n * shop::SECOND_US;
            shop::click(
                &log,
                &format!("l{n}"),
                &format!("v{}", n % 25),
                &format!("i{}", n % 9),
                "view",
                at,
                at / 1000,
            );
        }
        let (_, report) = training_set(&log, dir.path(), &settings()).await;
        let (manifest, batches) = rows(&report);
        let before: usize = batches
            .iter()
            .map(|b| {
                b.column(1)
                    .as_primitive::<Int64Type>()
                    .values()
                    .iter()
                    .filter(|at| **at < end)
                    .count()
            })
            .sum();
        let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        found.push((manifest.days[..2].to_vec(), batch.slice(0, before)));
        assert_eq!(later > 0, before < batch.num_rows());
    }
    assert_eq!(found[0], found[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_is_counted_and_an_embedding_of_the_future_refused() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 4, 800, 25, 30, 3);
    let dir = tempfile::tempdir().unwrap();
    let sampled = Settings { positions_max: 50, rows_max: 5, ..settings() };
    let (_, report) = training_set(&log, dir.path(), &sampled).await;
    assert_eq!(report.positions + report.positions_without_target, 50);
    assert!(report.positions_left_out > 100 && report.rows <= 5 * report.positions);

    let engine = Engine::new(&EngineSettings::default()).unwrap();
    let (records, definitions) = (Records::Log(log.clone()), shop::definitions());
    let history = History::read(&engine, &records, &definitions, Arc::new(|_| ())).await.unwrap();
    let towers = Towers {
        embedding: shop::Vectors::new(30),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US + 2 * DAY_US),
    };
    let store = Store::new(dir.path().join("indexes"));
    let settings = settings();
    let error = assemble(
        &engine,
        &records,
        &definitions,
        &history,
        &store,
        dir.path(),
        Some(&towers),
        &settings,
        &|_| (),
    );
    assert!(error.await.unwrap_err().to_string().contains("strictly after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_that_fail_count_as_nothing_and_are_counted() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 5, 400, 20, 15, 2);
    let dir = tempfile::tempdir().unwrap();
    // One item in seven has no stock.
    let bad = "\n[[inputs]]\nname = \"bad\"\nexpr = \"10 / item_attributes.stock\"\n";
    let definitions = shop::definitions_with(bad);
    let (_, report) = training_set_of(&log, dir.path(), &settings(), &definitions).await;
    assert!(report.inputs_failed > 0 && report.inputs_failed < report.rows, "{report:?}");
    let (manifest, batches) = rows(&report);
    assert_eq!(manifest.sampling.inputs_failed, report.inputs_failed);
    let zero = |batch: &RecordBatch| {
        let bad = batch.column_by_name("bad").unwrap().as_primitive::<Float32Type>();
        bad.values().iter().filter(|value| **value == 0.0).count() as u64
    };
    assert_eq!(batches.iter().map(zero).sum::<u64>(), report.inputs_failed);
}

/// Indexes are cut as long before their day as they take to be published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_lag_moves_the_cut_of_every_day_and_is_on_record() {
    const HOUR_US: i64 = 3_600 * shop::SECOND_US;
    let log = Arc::new(shop::log());
    shop::fill(&log, 5, 1_200, 25, 30, 4);
    let mut found = Vec::new();
    for publish_lag_us in [0, 6 * HOUR_US, 26 * HOUR_US] {
        let dir = tempfile::tempdir().unwrap();
        let lagging = Settings { publish_lag_us, ..settings() };
        let (history, report) = training_set(&log, dir.path(), &lagging).await;
        let (manifest, _) = rows(&report);
        assert_eq!(manifest.publish_lag_us, Some(publish_lag_us));
        for day in &manifest.days {
            let begins = day.spine_from_us.div_euclid(DAY_US) * DAY_US;
            assert_eq!(day.index_cut_us, begins - publish_lag_us);
            let indexes = Store::new(dir.path().join("indexes")).load(&day.index_digest);
            assert_eq!(
                indexes.unwrap().unwrap(),
                batch::indexes::at(&history, EventTime(begins - publish_lag_us))
            );
        }
        let digests: Vec<String> = manifest.days.iter().map(|d| d.index_digest.clone()).collect();
        found.push((manifest.days.len(), digests, report.digest));
    }
    assert_eq!([found[0].0, found[1].0, found[2].0], [3, 3, 2], "a cut before all events is none");
    assert_ne!(found[0].1, found[1].1);
    assert_ne!(found[0].2, found[1].2);
}
