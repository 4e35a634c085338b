//! What an undisturbed shopper gets.

use std::collections::BTreeMap;

use wire::v1;

use crate::model::Scoring;
use crate::world::{ITEMS, NOW, Setup, World, ask, causes, ids};

#[tokio::test(flavor = "multi_thread")]
async fn what_she_clicked_changes_the_next_answer() {
    let world = World::start(Setup::default()).await;
    let before = world.recommend(ask("ann")).await.unwrap();
    assert_eq!(before.tier(), v1::Tier::Full, "{:?}", causes(&before));
    let positions = world.view("ann", &["hat1", "hat2"]).await;
    let request = v1::RecommendRequest { min_positions: positions, ..ask("ann") };
    let after = world.recommend(request).await.unwrap();
    assert_eq!(after.tier(), v1::Tier::Full, "{:?}", causes(&after));
    assert!(!after.stale);
    assert!(ids(&after)[0].starts_with("hat"), "{:?}", ids(&after));
    let unseen = ids(&after).iter().all(|item| !["hat1", "hat2"].contains(item));
    assert!(unseen, "{:?}", ids(&after));
    assert_eq!(after.items[0].reason, "because you viewed The hat2");
    let scores: Vec<f32> = after.items.iter().map(|item| item.score.unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(after.items.iter().zip(1..).all(|(item, place)| item.position == place));
    assert_eq!(after.bundle, "a".repeat(64));
    assert_eq!(after.as_of_us, NOW.0 + 2_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_has_the_same_answer() {
    let world = World::start(Setup::default()).await;
    let positions = world.view("ann", &["shoe1"]).await;
    let request = || v1::RecommendRequest { min_positions: positions.clone(), ..ask("ann") };
    let first = world.recommend(request()).await.unwrap();
    for _ in 0..5 {
        let again = world.recommend(request()).await.unwrap();
        assert_eq!(again.items, first.items);
        assert_ne!(again.tracking_token, first.tracking_token);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn similar_items_are_found_around_the_context() {
    let world = World::start(Setup::default()).await;
    let request = v1::RecommendRequest {
        surface: "similar".to_owned(),
        context_item_ids: vec!["hat3".to_owned()],
        ..ask("nobody")
    };
    let response = world.recommend(request).await.unwrap();
    assert!(ids(&response)[0].starts_with("hat"), "{:?}", ids(&response));
    assert!(!ids(&response).contains(&"hat3"));
    assert_eq!(response.items[0].reason, "similar to The hat3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_surface_is_a_label_that_any_name_will_do_for() {
    let world = World::start(Setup::default()).await;
    let home = world.recommend(ask("ann")).await.unwrap();
    let request = v1::RecommendRequest { surface: "nope".to_owned(), ..ask("ann") };
    let other = world.recommend(request).await.unwrap();
    assert_eq!((&other.items, causes(&other)), (&home.items, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_the_context_it_was_asked_for_says_so() {
    let world = World::start(Setup::default()).await;
    let request = |surface: &str, context: &[&str]| v1::RecommendRequest {
        surface: surface.to_owned(),
        context_item_ids: context.iter().map(ToString::to_string).collect(),
        ..ask("nobody")
    };
    let none = "context: the surface is `similar`, and there are no context items";
    let unknown = "context: the candidate indexes know none of the context items";
    for (surface, context, expected) in [
        ("similar", &[][..], Some(none)),
        ("similar", &["sofa9", "sofa8"], Some(unknown)),
        ("item", &["sofa9"], Some(unknown)),
        ("similar", &["sofa9", "hat3"], None),
        ("home", &[], None),
    ] {
        let response = world.recommend(request(surface, context)).await.unwrap();
        let expected: Vec<&str> = expected.into_iter().collect();
        assert_eq!(causes(&response), expected, "{surface} {context:?}");
        assert!(!response.items.is_empty());
    }
    let counts = world.handle.metrics.snapshot().degradations;
    assert_eq!((counts[none], counts[unknown]), (1, 2), "{counts:?}");
    let stages = world.handle.metrics.degraded_stages();
    assert!(stages.contains(&("context".to_owned(), "unknown", 2)), "{stages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_that_are_no_numbers_come_last() {
    let setup = Setup { scoring: Some(Scoring::HalfNan), ..Setup::default() };
    let world = World::start(setup).await;
    let response = world.recommend(ask("ann")).await.unwrap();
    let nan = response.items.iter().map(|item| item.score.unwrap().is_nan());
    let nan: Vec<bool> = nan.collect();
    assert_eq!(nan.len(), ITEMS.len());
    assert!(nan.is_sorted() && nan.contains(&true) && nan.contains(&false), "{nan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evaluations_choose_their_time_and_may_turn_the_model_off() {
    let setup = Setup::default();
    let settings = setup.settings.clone().evaluation();
    let world = World::start(Setup { settings, ..setup }).await;
    let positions = world.view("ann", &["shoe1", "hat1", "shoe2"]).await;
    let request = v1::RecommendRequest {
        as_of_us: Some(NOW.0 - 5),
        min_positions: positions,
        arm_overrides: BTreeMap::from([("model".to_owned(), "off".to_owned())]),
        ..ask("ann")
    };
    let response = world.recommend(request).await.unwrap();
    assert_eq!((response.as_of_us, response.stale), (NOW.0 - 5, false));
    assert_eq!(response.tier(), v1::Tier::Heuristic);
    assert!(causes(&response).is_empty(), "an arm is no degradation");
    assert!(response.items.iter().all(|item| item.score.is_none()));
    assert!(ids(&response).contains(&"shoe2"), "no filter runs: {:?}", ids(&response));
    assert_eq!(response.arms["model"], "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_read_as_the_recommender_reads_them() {
    let world = World::start(Setup::default()).await;
    let positions = world.view("ann", &["shoe1", "hat1"]).await;
    let request = v1::GetFeaturesRequest {
        entity: "visitor".to_owned(),
        keys: vec!["ann".to_owned(), "bob".to_owned()],
        features: vec!["user_activity.views_30m".to_owned(), "user_interest.interest".to_owned()],
        min_positions: positions.clone(),
    };
    let response = world.features(request).await.unwrap();
    assert!(!response.stale);
    let value = |at: usize, name: &str| response.entities[at].values[name].value.clone();
    use v1::feature_value::Value;
    assert_eq!(value(0, "user_activity.views_30m"), Some(Value::IntValue(2)));
    assert_eq!(value(1, "user_activity.views_30m"), Some(Value::IntValue(0)));
    assert!(matches!(value(0, "user_interest.interest"), Some(Value::VectorValue(_))));
    assert_eq!(response.entities[0].values.len(), 2);

    let request = v1::GetFeaturesRequest {
        entity: "item".to_owned(),
        keys: vec!["shoe1".to_owned()],
        min_positions: positions,
        ..Default::default()
    };
    let response = world.features(request).await.unwrap();
    let item = &response.entities[0];
    assert_eq!(item.values["item_popularity.views_1h"].value, Some(Value::IntValue(1)));
    assert_eq!(item.values["item_attributes.stock"].value, Some(Value::IntValue(5)));
    let read = item.reads.iter().filter(|r| r.outcome() == v1::lane_read::Outcome::Read);
    assert_eq!((item.reads.len(), read.count()), (5, 2), "one partition by item, four by visitor");
}
