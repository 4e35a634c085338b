//! Bundles and indexes change while requests are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use online::service::Loaded;
use wire::v1;

use crate::model::{self, Scoring};
use crate::world::{Setup, World, ask, causes, definitions, indexes};

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_is_never_seen_half_done() {
    let world = Arc::new(World::start(Setup::default()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let swapper = tokio::spawn({
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        async move {
            let mut swaps = 0;
            while !stop.load(Ordering::SeqCst) {
                let name = ["b", "a"][swaps % 2];
                world.tables.install_bundle(model::loaded(&world.definitions, name, Scoring::Sum));
                world.tables.install_indexes(indexes());
                swaps += 1;
                tokio::task::yield_now().await;
            }
            swaps
        }
    });
    let mut bundles = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let response = world.recommend(ask("ann")).await.unwrap();
        assert_ne!(response.tier(), v1::Tier::Popular, "{:?}", causes(&response));
        bundles.insert(response.bundle);
    }
    stop.store(true, Ordering::SeqCst);
    assert!(swapper.await.unwrap() > 1);
    assert!(bundles.iter().all(|bundle| *bundle == "a".repeat(64) || *bundle == "b".repeat(64)));
    assert_eq!(bundles.len(), 2, "both were seen: {bundles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_bundle_leaves_the_old_one_serving() {
    let world = World::start(Setup::default()).await;
    let empty = tempfile::tempdir().unwrap();
    let lanes = world.definitions.lanes();
    let opened = Loaded::open(&world.definitions, &lanes, "ranker", empty.path());
    let error = world.tables.try_install(opened).unwrap_err().to_string();
    assert!(error.contains("manifest.json"), "{error}");
    assert_eq!(world.tables.refusal(), Some(error));
    let response = world.recommend(ask("ann")).await.unwrap();
    assert_eq!((response.bundle.as_str(), response.tier()), (&*"a".repeat(64), v1::Tier::Full));
    let fine = Ok(model::loaded(&world.definitions, "b", Scoring::Sum));
    world.tables.try_install(fine).unwrap();
    assert_eq!(world.tables.refusal(), None);
}

#[test]
fn a_model_that_searches_vectors_demands_a_retriever_for_the_interest_it_is_served() {
    let expected = online::service::expectation(&definitions(""), "ranker").unwrap();
    assert!(expected.retriever, "the demo's ranker names source `interest`");
    assert_eq!(expected.half_life_us, Some(5 * 60 * 1_000_000), "as user_interest says");
}
