//! Each degradation, made to happen: the answer comes in time and says what is missing.

use std::time::{Duration, Instant};

use wire::v1;

use crate::model::Scoring;
use crate::world::{ITEMS, Setup, World, ask, causes, ids};

/// Far above the 100 ms of the service, for machines that are busy; far below what the parts that
/// hang would take, which is for ever.
const IN_TIME: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "the test measures")]
async fn timed(world: &World, request: v1::RecommendRequest) -> v1::RecommendResponse {
    let start = Instant::now();
    let response = world.recommend(request).await.unwrap();
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    assert!(!response.items.is_empty());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_leaves_the_visitor_out() {
    let world = World::start(Setup::default()).await;
    world.store_reads.hang(true);
    let response = timed(&world, ask("ann")).await;
    assert_eq!(response.tier(), v1::Tier::Partial);
    assert_eq!(
        causes(&response),
        ["hydrate/clickstream/visitor: timed out", "filter/seen: the visitor was not read"]
    );
    world.store_reads.hang(false);
    let response = timed(&world, ask("ann")).await;
    assert_eq!((response.tier(), response.degradations.len()), (v1::Tier::Full, 0));
    let counts = world.handle.metrics.snapshot();
    assert_eq!(counts.tiers["TIER_PARTIAL"], 1);
    assert_eq!(counts.degradations["hydrate/clickstream/visitor: timed out"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_named_with_its_cause() {
    let world = World::start(Setup::default()).await;
    world.store_reads.fail(true);
    let response = timed(&world, ask("ann")).await;
    assert_eq!(response.tier(), v1::Tier::Partial);
    assert!(causes(&response)[0].contains("told to"), "{:?}", causes(&response));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_score_the_order_of_fusion_stands() {
    for (scoring, cause) in [
        (Some(Scoring::Takes(1_000)), "timed out"),
        (Some(Scoring::Short), "not one score per candidate"),
        (Some(Scoring::Panics), "scoring ended early"),
        (None, "no bundle"),
    ] {
        let mut setup = Setup { scoring, ..Setup::default() };
        if !matches!(scoring, Some(Scoring::Takes(_))) {
            // A panic prints for longer than a shopper waits.
            setup.settings = setup.settings.evaluation();
        }
        let world = World::start(setup).await;
        let response = timed(&world, ask("ann")).await;
        assert_eq!(response.tier(), v1::Tier::Heuristic, "{scoring:?}");
        let found = causes(&response);
        assert!(found.len() == 1 && found[0].starts_with("score/ranker"), "{found:?}");
        assert!(found[0].contains(cause), "{found:?}");
        assert!(response.items.iter().all(|item| item.score.is_none()));
        // Nothing is known of her, so the fusion is the trending list.
        let ranks = response.items.iter().map(|item| item.sources[0].rank);
        assert!(ranks.is_sorted(), "{:?}", ids(&response));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_timeout_of_the_caller_is_kept() {
    // Much of the time is kept for the way back, so that a busy machine does not decide the test.
    let settings = online::service::Settings { margin_ms: 90, ..Setup::default().settings };
    let scoring = Some(Scoring::Takes(1_000));
    let world = World::start(Setup { settings, scoring, ..Setup::default() }).await;
    let mut client = v1::recommender_client::RecommenderClient::new(world.channel.clone());
    let mut request = tonic::Request::new(ask("ann"));
    request.set_timeout(Duration::from_millis(99));
    // A timeout that the client itself enforces: an answer at all is an answer in time.
    let response = client.recommend(request).await.unwrap().into_inner();
    assert_eq!(response.tier(), v1::Tier::Heuristic);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_every_candidate_is_filtered_the_popular_ones_are_asked() {
    // With one candidate from each source, all of them seen.
    let settings = online::service::Settings { per_source: 1, ..Setup::default().settings };
    let narrow = World::start(Setup { settings, ..Setup::default() }).await;
    let trending = narrow.recommend(ask("nobody")).await.unwrap();
    let best = ids(&trending)[0].to_owned();
    let request = v1::RecommendRequest { exclude_item_ids: vec![best], ..ask("nobody") };
    let response = timed(&narrow, request).await;
    assert_eq!(response.tier(), v1::Tier::Popular);
    assert_eq!(causes(&response), ["candidates: the filters left none of the candidates"]);
    assert!(response.items[0].sources.is_empty(), "no source gave it");
    assert_eq!(response.items[0].reason, "popular");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_not_merged_yet_and_says_so() {
    let world = World::start(Setup::default()).await;
    let request = v1::RecommendRequest { user_id: "user".to_owned(), ..ask("ann") };
    let response = timed(&world, request).await;
    assert_eq!(causes(&response), ["identity: identity_unmerged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_are_not_covered_make_the_answer_stale() {
    // Nothing is in the log at the start, so there is nothing to catch up with.
    let setup = Setup { with_updater: false, catalogue: Vec::new(), ..Setup::default() };
    let world = World::start(setup).await;
    let positions = world.view("ann", &["shoe1"]).await;
    let request = v1::RecommendRequest { min_positions: positions.clone(), ..ask("ann") };
    let response = timed(&world, request).await;
    assert!(response.stale);
    assert_eq!(world.handle.metrics.snapshot().stale, 1);
    let request = v1::GetFeaturesRequest {
        entity: "visitor".to_owned(),
        keys: vec!["ann".to_owned()],
        min_positions: positions,
        ..Default::default()
    };
    assert!(world.features(request).await.unwrap().stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_without_time_are_each_named_and_the_popular_ones_are_asked() {
    let settings =
        online::service::Settings { hydrate_ms: 0, source_ms: 0, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    let response = timed(&world, ask("ann")).await;
    assert_eq!(response.tier(), v1::Tier::Popular);
    let counts = world.handle.metrics.snapshot();
    for source in ["covisit", "sequential", "sessions", "interest", "trending", "recent"] {
        let cause = format!("source/{source}: no time left");
        assert!(causes(&response).contains(&cause), "{:?}", causes(&response));
        assert_eq!(counts.degradations[&cause], 1);
    }
    assert_eq!(counts.tiers["TIER_POPULAR"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_beyond_the_pool_are_counted() {
    let settings = online::service::Settings { pool_max: 3, k_max: 3, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..Setup::default() }).await;
    let response = timed(&world, ask("ann")).await;
    assert_eq!((response.items.len(), response.tier()), (3, v1::Tier::Full));
    // Nothing is known of her: the trending list alone gave candidates, every item once.
    let cut = crate::world::ITEMS.len() as u64 - 3;
    assert_eq!(world.handle.metrics.snapshot().candidates_cut, cut);
    let wide = World::start(Setup::default()).await;
    timed(&wide, ask("ann")).await;
    assert_eq!(wide.handle.metrics.snapshot().candidates_cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_fails_counts_as_nothing_and_is_counted() {
    // Every item has a stock of 5.
    let more_inputs = "\n[[inputs]]\nname = \"bad\"\nexpr = \"10 / (item_attributes.stock - 5)\"\n";
    let world = World::start(Setup { more_inputs, ..Setup::default() }).await;
    let response = timed(&world, ask("ann")).await;
    assert_eq!(response.tier(), v1::Tier::Full, "{:?}", causes(&response));
    let failures = world.handle.metrics.snapshot().expression_failures;
    assert_eq!(failures, crate::world::ITEMS.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_table_that_stands_still_is_named() {
    let item_table =
        online::item_table::Settings { refresh_ms: 20, stale_ms: 3_000, items_max: ITEMS.len() };
    let world = World::start(Setup { item_table, ..Setup::default() }).await;
    world.clock.advance(Duration::from_secs(60));
    let now = world.clock.now();
    let fresh = world.item_table.wait_for(|version| version.as_of() == now);
    tokio::time::timeout(Duration::from_secs(30), fresh).await.unwrap().unwrap();
    let response = timed(&world, ask("ann")).await;
    assert_eq!((response.tier(), causes(&response)), (v1::Tier::Full, Vec::new()));

    // One item more than the table takes: no version can be made any more.
    world.view("bob", &["sofa1"]).await;
    let failed = async {
        while world.item_table.counters().failures == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.unwrap();
    let of_last = world.item_table.current().as_of();
    world.clock.set(of_last.plus(3_000_000));
    let response = timed(&world, ask("ann")).await;
    assert_eq!((response.tier(), causes(&response)), (v1::Tier::Full, Vec::new()), "old enough");
    world.clock.set(of_last.plus(3_000_001));
    let response = timed(&world, ask("ann")).await;
    assert_eq!(response.tier(), v1::Tier::Partial);
    assert_eq!(causes(&response), ["item_table: stale"]);
    let counts = world.handle.metrics.snapshot();
    assert_eq!(counts.degradations["item_table: stale"], 1);
}
