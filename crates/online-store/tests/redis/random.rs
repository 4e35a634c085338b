use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::harness::Shared;
use crate::model;

const CASES: u32 = 64;

fn check(harness: &Shared) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let one = |operations| {
        model::check(harness, operations);
        Ok(())
    };
    TestRunner::new(config).run(&model::operations(), one).unwrap();
}

#[test]
#[ignore = "needs Redis: tests/run starts it"]
fn the_store_is_a_map_per_partition() {
    check(&Shared::one());
}

#[test]
#[ignore = "needs Redis: tests/run starts it"]
fn the_cluster_is_a_map_per_partition() {
    check(&Shared::cluster());
}
