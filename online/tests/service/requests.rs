//! Requests that are refused, and readiness.

use std::time::Duration;

use record::{Partition, partition_for_key};
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use wire::v1;

use crate::world::{ITEMS, Setup, World, ask, causes, ids, indexes};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_field_limit_and_remedy() {
    let world = World::start(Setup::default()).await;
    let request = v1::RecommendRequest { k: 5_000, ..ask("") };
    let error = world.recommend(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("k: 5000 is above 200: ask for less"), "{error}");
    assert!(error.message().contains("visitor_id"), "{error}");
    assert!(!error.details().is_empty());
    let request = v1::RecommendRequest { as_of_us: Some(1), ..ask("ann") };
    assert_eq!(world.recommend(request).await.unwrap_err().code(), Code::PermissionDenied);
    let request = v1::GetFeaturesRequest { entity: "sofa".to_owned(), ..Default::default() };
    let error = world.features(request).await.unwrap_err();
    assert!(error.message().contains("entity") && error.message().contains("keys"), "{error}");
    assert_eq!(world.handle.metrics.snapshot().invalid, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_fits_into_trailers_whatever_was_sent() {
    let world = World::start(Setup::default()).await;
    let long = "ä".repeat(200_000);
    let positions = |topic: &str| v1::Position { topic: topic.to_owned(), ..Default::default() };
    let requests = [
        v1::RecommendRequest { filter: [(long.clone(), "x".to_owned())].into(), ..ask("ann") },
        v1::RecommendRequest {
            filter: [("category".to_owned(), long.clone())].into(),
            ..ask("ann")
        },
        v1::RecommendRequest { context: [(long.clone(), long.clone())].into(), ..ask("ann") },
        v1::RecommendRequest { exclude_item_ids: vec!["ä".repeat(300); 500], ..ask("ann") },
        v1::RecommendRequest { context_item_ids: vec![long.clone()], ..ask("ann") },
        v1::RecommendRequest {
            min_positions: vec![positions(&"ä".repeat(9_000)); 64],
            ..ask("ann")
        },
        v1::RecommendRequest {
            filter: (0..16).map(|n| (format!("{n}{}", "ä".repeat(9_000)), String::new())).collect(),
            ..ask("ann")
        },
        v1::RecommendRequest {
            surface: long.clone(),
            cursor: long.clone(),
            ..ask(&long[..400_000])
        },
    ];
    let size = |error: &tonic::Status| {
        // Percent-encoded and in base64, in the smallest trailers that clients are known to take.
        let percent = error.message().bytes().map(|b| if b.is_ascii() { 1 } else { 3 });
        percent.sum::<usize>() + error.details().len() * 4 / 3
    };
    for request in requests {
        let error = world.recommend(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(size(&error) < 7_000, "{} bytes: {error}", size(&error));
    }
    for (entity, features) in [(long.as_str(), "x"), ("visitor", long.as_str())] {
        let request = v1::GetFeaturesRequest {
            entity: entity.to_owned(),
            keys: vec!["ä".repeat(300); 100],
            features: vec![features.to_owned()],
            ..Default::default()
        };
        let error = world.features(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(size(&error) < 7_000, "{} bytes: {error}", size(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_id_is_no_item_and_no_key() {
    let world = World::start(Setup::default()).await;
    let ids = || vec!["hat1".to_owned(), String::new()];
    let requests = [
        ("context_item_ids", v1::RecommendRequest { context_item_ids: ids(), ..ask("ann") }),
        ("exclude_item_ids", v1::RecommendRequest { exclude_item_ids: ids(), ..ask("ann") }),
    ];
    for (field, request) in requests {
        let error = world.recommend(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(&format!("{field}: entry 2 is empty")), "{error}");
    }
    let entity = "visitor".to_owned();
    let request = v1::GetFeaturesRequest { entity, keys: ids(), ..Default::default() };
    let error = world.features(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.message().contains("keys: entry 2 is empty"), "{error}");
}

/// Neither of them may be answered; both say why.
async fn refused(world: &World, why: &str) {
    world.wait_for(ServingStatus::NotServing).await;
    let features = v1::GetFeaturesRequest {
        entity: "visitor".to_owned(),
        keys: vec!["ann".to_owned()],
        ..Default::default()
    };
    let recommended = world.recommend(ask("ann")).await.unwrap_err();
    for error in [recommended, world.features(features).await.unwrap_err()] {
        assert_eq!(error.code(), Code::Unavailable);
        assert!(error.message().contains(why), "{error}");
    }
    assert_eq!(world.handle.metrics.snapshot().unavailable, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tables_it_is_not_serving_and_then_it_is() {
    let world = World::start(Setup { with_indexes: false, ..Setup::default() }).await;
    refused(&world, "twofold backfill").await;
    world.tables.install_indexes(indexes());
    world.wait_for(ServingStatus::Serving).await;
    assert!(world.recommend(ask("ann")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_were_never_built_are_not_served_until_they_are() {
    let catalogue = vec![("shoe1", "sho", 5), ("hat1", "hat", 5), ("hat2", "hat", 0)];
    let world = World::start(Setup { with_updater: false, catalogue, ..Setup::default() }).await;
    refused(&world, "twofold update").await;
    // Taken, but not waited for: it came after the start.
    let click = world.click("ann", "hat1");
    assert_eq!(world.track(vec![click]).await.statuses[0].code(), v1::track_status::Code::Ok);
    world.update().await;
    world.wait_for(ServingStatus::Serving).await;
    let response = world.recommend(ask("bob")).await.unwrap();
    assert_eq!(response.tier(), v1::Tier::Full, "{:?}", causes(&response));
    let mut found = ids(&response);
    found.sort_unstable();
    assert_eq!(found, ["hat1", "shoe1"], "the item table shows what the lanes cover");
    // What falls behind later is served, with the positions on record.
    let positions = world.view("bob", &["hat1"]).await;
    let request = v1::RecommendRequest { min_positions: positions, ..ask("bob") };
    assert!(world.recommend(request).await.unwrap().stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_other_updaters_are_waited_for_too() {
    // Items but one are in the first partition, which is another updater's.
    let world = World::start(Setup { partitions: Some(1..4), ..Setup::default() }).await;
    refused(&world, "a partition's updater has not caught up").await;
    world.update().await;
    world.wait_for(ServingStatus::Serving).await;
    let response = world.recommend(ask("bob")).await.unwrap();
    let shown = ids(&response).len();
    assert_eq!(shown, ITEMS.len(), "the item table follows what others commit: {response:?}");

    // A visitor whose partition is another updater's: only the store can say when it is covered.
    let theirs = |name: &String| partition_for_key(name.as_bytes(), 4) == Partition(0);
    let visitor = (0..).map(|n| format!("visitor{n}")).find(theirs).unwrap();
    let min_positions = world.view(&visitor, &["hat1"]).await;
    let asked = tokio::time::Instant::now();
    let request = v1::RecommendRequest { min_positions, ..ask(&visitor) };
    assert!(world.recommend(request.clone()).await.unwrap().stale);
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(20), "it is asked for a while: {waited:?}");
    world.update().await;
    assert!(!world.recommend(request).await.unwrap().stale);
}
