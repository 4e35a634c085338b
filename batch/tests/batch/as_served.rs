//! Training sets of what was served: the record's own inputs, and what followed from the answer.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float32Type, Int64Type, UInt8Type};
use batch::Records;
use batch::examples::{Towers, as_served};
use batch::history::History;
use batch::parity::Report;
use definitions::Definitions;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use record::EventTime;

use super::shop::{self, START_US};
use super::values::{engine, run};
use super::world::{K, World};

struct Row {
    at_us: i64,
    item: String,
    labels: [u8; 3],
    inputs: Vec<u32>,
}

fn as_served_set(
    world: &World,
    definitions: &Definitions,
    window_us: i64,
) -> Result<(batch::examples::Report, Report, Vec<Row>), batch::Error> {
    let towers = Towers {
        embedding: world.bundle.vectors.clone(),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US),
    };
    let dir = tempfile::tempdir().unwrap();
    let settings = as_served::Settings { window_us, ..Default::default() };
    let (report, counted) = run(async {
        let records = Records::Log(world.log.clone());
        let history =
            History::read(&engine(), &records, definitions, Arc::new(|_| ())).await.unwrap();
        let job = world.job();
        let root = dir.path();
        as_served::assemble(&engine(), &job, definitions, &history, root, Some(&towers), &settings)
            .await
    })?;
    let file = std::fs::File::open(report.dir.join("examples.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader.map(Result::unwrap) {
        let times = batch.column(1).as_primitive::<Int64Type>();
        let items = batch.column(2).as_string::<i32>();
        let label = |n: usize| batch.column(n).as_primitive::<UInt8Type>().clone();
        let labels = [label(3), label(4), label(5)];
        for row in 0..batch.num_rows() {
            let inputs =
                batch.columns()[6..].iter().map(|c| c.as_primitive::<Float32Type>().value(row));
            rows.push(Row {
                at_us: times.value(row),
                item: items.value(row).to_owned(),
                labels: labels.each_ref().map(|labels| labels.value(row)),
                inputs: inputs.map(f32::to_bits).collect(),
            });
        }
    }
    Ok((report, counted, rows))
}

/// The as-served training set is the record's own inputs, computed again from the log, with what
/// followed from the answer.
#[test]
fn an_as_served_training_set_has_the_inputs_that_the_model_saw_and_what_followed_from_them() {
    const WINDOW_US: i64 = 30 * 60 * 1_000_000;
    let world = World::open(14, true);
    let definitions = shop::definitions();
    let id =
        |response: usize, at: usize| world.responses[response].1.candidates[at].item_id.clone();
    let minute = 60 * shop::SECOND_US;
    // Two answers to two visitors that hold the same item.
    let shared = (0..K)
        .find_map(|a| (0..K).find(|b| id(3, *b) == id(4, a)).map(|b| (b, a)))
        .expect("lists of popular items meet");
    let outcomes = [
        // The first that followed counts, whichever comes later.
        (0, "view", id(0, 2), minute, "token-0"),
        (0, "purchase", id(0, 1), 2 * minute, "token-0"),
        // Found elsewhere: no token, though the item was on the list.
        (1, "view", id(1, 0), minute, ""),
        (1, "cart", id(1, 4), 3 * minute, "token-1"),
        // Only without a token; and with somebody else's.
        (2, "view", id(2, 0), minute, ""),
        (2, "view", id(2, 0), minute + 1, "token-9999"),
        // The same item in two answers: the click belongs to the one that it came from.
        (4, "purchase", id(4, shared.1), minute, "token-4"),
        // Recorded but never shown, then outside of the window, then before the answer.
        (5, "view", id(5, K), minute, "token-5"),
        (6, "view", id(6, 0), WINDOW_US + 1000, "token-6"),
        (7, "view", id(7, 0), 0, "token-7"),
        // A link that was passed on: the token is the ninth answer's, the visitor is another.
        (10, "view", id(9, 0), minute, "token-9"),
        // To the end of the window.
        (8, "view", id(8, 0), WINDOW_US, "token-8"),
    ];
    let targets = [
        (0, id(0, 2), [1, 0, 0]),
        (1, id(1, 4), [1, 1, 0]),
        (4, id(4, shared.1), [1, 0, 1]),
        (8, id(8, 0), [1, 0, 0]),
    ];
    let early = as_served_set(&world, &definitions, WINDOW_US).map(|_| ()).unwrap_err().to_string();
    assert!(early.contains("no response can be learned from: skipped 12 window_open"), "{early}");
    world.arrive(&outcomes, WINDOW_US);
    let (report, counted, rows) = as_served_set(&world, &definitions, WINDOW_US).unwrap();
    assert_eq!((report.positions, report.positions_without_target), (4, 8), "{counted:?}");
    assert_eq!(counted.skipped, [("outcome_of_another_visitor", 1)].into(), "{counted:?}");
    assert_eq!(rows.len() as u64, report.rows);
    assert_eq!(rows.len(), 4 * K, "what was not served is no row");
    for row in &rows {
        let (n, served) = (0..12)
            .map(|n| (n, &world.responses[n].1))
            .find(|(_, s)| s.response.as_ref().unwrap().as_of_us == row.at_us)
            .unwrap();
        let candidate = served.candidates.iter().find(|c| c.item_id == row.item).unwrap();
        assert!(candidate.position > 0);
        assert_eq!(row.inputs, candidate.inputs.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        let target = targets.iter().find(|(of, item, _)| (*of, item) == (n, &row.item));
        assert_eq!(row.labels, target.map_or([0; 3], |(_, _, labels)| *labels), "response {n}");
    }
}

#[test]
fn labels_need_the_column_that_says_which_answer_an_event_followed_from() {
    let world = World::open(14, true);
    let without = shop::changed("sources/clickstream.toml", |text| {
        let lines = text.lines().filter(|line| !line.starts_with("tracking_token"));
        lines.collect::<Vec<_>>().join("\n")
    });
    let error = as_served_set(&world, &without, 1).map(|_| ()).unwrap_err();
    assert!(matches!(error, batch::Error::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("source clickstream has no text column `tracking_token`"), "{text}");
    assert!(text.contains("add `tracking_token = {"), "{text}");
}
