//! What cannot be compared is counted under its reason: each reason, made to happen, with its count.

use std::cell::RefCell;
use std::collections::BTreeSet;

use std::sync::Arc;

use batch::examples::{Towers, as_served};
use batch::history::History;
use batch::{Records, parity};
use definitions::ITEM_ENTITY;
use fold::{Value, decode_values, encode_values};
use record::EventTime;
use wire::v1;
use wire::v1::lane_read::Outcome;

use super::shop::{self, START_US};
use super::values::{engine, run};
use super::world::{Followed, World, unscore};

/// Reasons that parity's own code knows.
fn known() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/parity");
    let mut files = vec![format!("{folder}.rs").into()];
    files.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut reasons = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let uses = text.split("skip(\"").skip(1);
        reasons.extend(uses.map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    reasons
}

#[test]
fn what_cannot_be_compared_is_counted_under_its_reason() {
    let world = World::new(13);
    let whole = world.parity();
    let seen = RefCell::new(BTreeSet::new());
    let skipped = |expected: &[(&'static str, u64)], change: &dyn Fn(&mut v1::Served)| {
        world.change(3, change);
        let report = world.parity();
        let found: Vec<_> = report.skipped.iter().map(|(reason, n)| (*reason, *n)).collect();
        assert_eq!(found, expected, "{report:#?}");
        assert_eq!(report.mismatched, 0, "{expected:?}: {report:#?}");
        assert!(report.values > 0 && report.values < whole.values, "{expected:?}: {report:#?}");
        seen.borrow_mut().extend(report.skipped.keys().map(|reason| (*reason).to_owned()));
        world.restore();
    };
    // As the service records a visitor that it could not read in time.
    let late = world.response(3, false);
    skipped(&[("degraded_read", 1)], &|served| *served = late.clone());
    skipped(&[("degraded_source", 1)], &|served| {
        let degraded = v1::Degradation { stage: "source/covisit".into(), cause: "late".into() };
        served.response.as_mut().unwrap().degradations.push(degraded);
    });
    let order = world.in_order_of_fusion(&world.responses[3].1);
    skipped(&[("unscored", 1)], &|served| unscore(served, &order));
    skipped(&[("no_bundle", 1)], &|served| {
        unscore(served, &order);
        served.embedding.clear();
        served.response.as_mut().unwrap().bundle.clear();
        // Without item vectors there is no interest vector either.
        let mut values = decode_values(&served.visitor_features[0]).unwrap();
        let interest = values.iter_mut().find(|value| matches!(value, Value::Vector(_)));
        *interest.unwrap() = Value::Null;
        served.visitor_features[0] = encode_values(&values);
    });
    skipped(&[("indexes_gone", 1)], &|served| {
        served.snapshots.insert("indexes".into(), "0".repeat(64));
    });
    // The visitor's interest vector, and what follows from features on.
    for (bundle, reason) in
        [("another", "bundle_gone"), ("of others", "bundle_of_other_definitions")]
    {
        skipped(&[(reason, 1), ("embedding_gone", 1)], &|served| {
            served.embedding = "08".repeat(32);
            served.response.as_mut().unwrap().bundle = bundle.into();
        });
    }
    skipped(&[("other_configuration", 1)], &|served| served.configuration = "others".into());
    skipped(&[("log_gone", 1)], &|served| {
        served.visitor_reads[0].position.as_mut().unwrap().log_id = vec![9; 16];
    });
    skipped(&[("no_position", 1)], &|served| served.visitor_reads[0].position = None);
    skipped(&[("lane_of_other_definitions", 1)], &|served| {
        served.visitor_reads[0].lane = vec![1; 8];
    });
    // One partition of one lane from a later table: no order of commits passes through that.
    let later = world.responses[9].1.item_table_reads[4].clone();
    skipped(&[("item_table_went_back", 1)], &|served| served.item_table_reads[4] = later.clone());

    let lane = later.lane.clone();
    skipped(&[("no_item_table_read", 1)], &|served| {
        served.item_table_reads.retain(|read| read.lane != lane);
    });

    world.log.change("served", world.responses[3].0, b"no message \xff".to_vec());
    let report = world.parity();
    assert_eq!((report.responses, report.skipped["damaged_record"]), (11, 1));
    seen.borrow_mut().insert("damaged_record".to_owned());
    let missing: Vec<String> = known().difference(&seen.borrow()).cloned().collect();
    assert!(missing.is_empty(), "every reason is made to happen here: {missing:?}");
}

/// A candidate's rows are those of the item lanes that its response read, whatever lanes there are by now.
#[test]
fn rows_of_items_are_told_apart_by_the_lanes_that_were_read() {
    let world = World::new(13);
    let first = {
        let lanes = world.job().lanes;
        lanes.iter().find(|lane| lane.entity == ITEM_ENTITY).unwrap().id
    };
    // Dropped by the definitions since.
    let mut job = world.job();
    job.lanes.retain(|lane| lane.id != first);
    let report = run(parity::run(&engine(), &job)).unwrap();
    assert_eq!(report.mismatched, 0, "{report:#?}");
    assert!(report.values > 0 && report.skipped["lane_of_other_definitions"] > 0, "{report:#?}");
    // Added by them since.
    world.change(3, |served| {
        served.item_table_reads.retain(|read| read.lane != first.0);
        for candidate in &mut served.candidates {
            if !candidate.item_features.is_empty() {
                candidate.item_features.remove(0);
            }
        }
        // What it was scored by had the row.
        served.response.as_mut().unwrap().bundle = "of others".into();
    });
    let report = world.parity();
    assert_eq!(report.mismatched, 0, "{report:#?}");
    assert_eq!(report.skipped["no_item_table_read"], 1, "{report:#?}");
}

#[test]
fn what_is_there_but_damaged_is_an_error_and_not_a_reason_to_skip() {
    let world = World::new(13);
    world.change(3, |served| served.response.as_mut().unwrap().bundle = "damaged".into());
    let error = run(parity::run(&engine(), &world.job())).unwrap_err();
    assert!(error.to_string().contains("models/damaged: one bit differs"), "{error}");
}

#[test]
fn features_that_are_no_values_are_a_difference_and_end_the_comparison_there() {
    let world = World::new(13);
    world.change(3, |served| served.visitor_features[0] = vec![0xff; 3]);
    let report = world.parity();
    assert_eq!((report.mismatched, report.skipped["damaged_record"]), (1, 1), "{report:#?}");
    assert_eq!(report.mismatches[0].request_id, "r3");
    world.restore();
    world.change(3, |served| served.visitor_reads[0].set_outcome(Outcome::Unspecified));
    let report = world.parity();
    assert_eq!((report.mismatched, report.skipped["degraded_read"]), (0, 1), "{report:#?}");
}

/// The same of what is learned from: each answer that is left out is counted once, under its reason.
#[test]
fn answers_that_teach_nothing_are_counted_under_their_reason() {
    let window_us = 30 * 60 * shop::SECOND_US;
    let world = World::open(14, true);
    // Each answer has its outcome.
    let tokens: Vec<String> = (0..12).map(|n| format!("token-{n}")).collect();
    let first = |n: usize| world.responses[n].1.candidates[0].item_id.clone();
    let followed: Vec<Followed<'_>> =
        (0..12).map(|n| (n, "view", first(n), shop::SECOND_US, tokens[n].as_str())).collect();
    world.arrive(&followed, window_us);
    let late = world.response(4, false);
    world.change(2, |served| served.embedding = "08".repeat(32));
    world.change(3, |served| drop(served.snapshots.insert("indexes".into(), "0".repeat(64))));
    world.change(4, |served| *served = late);
    world.change(5, |served| {
        served.item_table_reads[4] = world.responses[9].1.item_table_reads[4].clone();
    });
    let definitions = shop::definitions();
    let towers = Towers {
        embedding: shop::Vectors::new(12),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US),
    };
    let dir = tempfile::tempdir().unwrap();
    let settings = as_served::Settings { window_us, ..Default::default() };
    let (made, counted) = run(async {
        let (engine, records) = (engine(), Records::Log(world.log.clone()));
        let history = History::read(&engine, &records, &definitions, Arc::new(|_| ()));
        let (history, job) = (history.await.unwrap(), world.job());
        let (root, towers) = (dir.path(), Some(&towers));
        as_served::assemble(&engine, &job, &definitions, &history, root, towers, &settings)
            .await
            .unwrap()
    });
    let expected = [
        ("degraded_read", 1),
        ("indexes_gone", 1),
        ("item_table_went_back", 1),
        ("other_embedding", 1),
    ];
    assert_eq!(counted.skipped, expected.into(), "{made:?}");
    assert_eq!((made.positions, made.positions_without_target), (8, 0), "{made:?}");
}
