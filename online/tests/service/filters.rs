//! What must not be shown is not shown, in any tier.

use wire::v1;

use crate::world::{ITEMS, Setup, World, ask, ids};

/// One hat is out of stock, of one shoe nothing is known.
fn stocked() -> Setup {
    let catalogue = ITEMS.iter().filter(|item| **item != "shoe4");
    let stock = |item: &&'static str| (*item, &item[..3], i64::from(*item != "hat3"));
    Setup { catalogue: catalogue.map(stock).collect(), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_stock_is_closed_in_every_tier() {
    for scoring in [Setup::default().scoring, None] {
        let world = World::start(Setup { scoring, ..stocked() }).await;
        for hang in [false, true] {
            world.store_reads.hang(hang);
            let response = world.recommend(ask("ann")).await.unwrap();
            let mut found = ids(&response);
            found.sort_unstable();
            assert_eq!(found, ["hat1", "hat2", "hat4", "shoe1", "shoe2", "shoe3"]);
        }
    }
    // The popular tier as well: the sources give one item, and it is excluded.
    let settings = online::service::Settings { per_source: 1, ..Setup::default().settings };
    let world = World::start(Setup { settings, ..stocked() }).await;
    let first = world.recommend(ask("ann")).await.unwrap();
    let exclude_item_ids = ids(&first).iter().map(ToString::to_string).collect();
    let request = v1::RecommendRequest { exclude_item_ids, ..ask("ann") };
    let popular = world.recommend(request).await.unwrap();
    assert_eq!(popular.tier(), v1::Tier::Popular);
    assert!(!ids(&popular).contains(&"hat3") && !ids(&popular).contains(&"shoe4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_without_a_catalogue_has_no_stock_to_filter_by() {
    let world = World::start(Setup { catalogue: Vec::new(), ..Setup::default() }).await;
    let response = world.recommend(ask("ann")).await.unwrap();
    assert_eq!(response.items.len(), ITEMS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_tells_nothing_closes_the_filter() {
    // Its only record is a dead letter: the lane is as empty as a new one.
    let broken = vec![("", "sho", 5)];
    let world = World::start(Setup { catalogue: broken, ..Setup::default() }).await;
    let response = world.recommend(ask("ann")).await.unwrap();
    assert!(response.items.is_empty(), "{:?}", ids(&response));

    // One whose first record comes while the service runs, and no updater says so.
    let none = Setup { catalogue: Vec::new(), with_updater: false, ..Setup::default() };
    let world = World::start(none).await;
    assert_eq!(world.recommend(ask("ann")).await.unwrap().items.len(), ITEMS.len());
    let record =
        event_log::NewRecord { key: b"hat1".to_vec(), value: b"{torn".to_vec(), trace: None };
    world.log.append("catalog", vec![record]).await.unwrap();
    let closes = async {
        while !world.recommend(ask("ann")).await.unwrap().items.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let closed = tokio::time::timeout(std::time::Duration::from_secs(30), closes).await;
    assert!(closed.is_ok(), "the filter never closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_exclude_items_and_ask_for_attributes() {
    let world = World::start(Setup::default()).await;
    let request = v1::RecommendRequest {
        filter: [("category".to_owned(), "hat".to_owned())].into(),
        exclude_item_ids: vec!["hat2".to_owned()],
        ..ask("ann")
    };
    let response = world.recommend(request).await.unwrap();
    let mut found = ids(&response);
    found.sort_unstable();
    assert_eq!(found, ["hat1", "hat3", "hat4"]);
    let filter = [("category".to_owned(), "sofa".to_owned())].into();
    let none = world.recommend(v1::RecommendRequest { filter, ..ask("ann") }).await.unwrap();
    assert!(none.items.is_empty() && none.tier() == v1::Tier::Popular);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_is_compared_in_its_own_type() {
    let world = World::start(stocked()).await;
    let filtered = |name: &str, value: &str| v1::RecommendRequest {
        filter: [(name.to_owned(), value.to_owned())].into(),
        ..ask("ann")
    };
    let one = world.recommend(filtered("stock", "01")).await.unwrap();
    let mut found = ids(&one);
    found.sort_unstable();
    assert_eq!(found, ["hat1", "hat2", "hat4", "shoe1", "shoe2", "shoe3"]);
    let error = world.recommend(filtered("stock", "abc")).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::InvalidArgument, "{error}");
    for part in ["`stock`", "int64", "`abc`"] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_answer_says_which_filters_left_how_much_out() {
    let world = World::start(stocked()).await;
    let left_out = |response: &v1::RecommendResponse| -> Vec<(String, u32)> {
        response.left_out.iter().map(|out| (out.filter.clone(), out.candidates)).collect()
    };
    let two = world.recommend(v1::RecommendRequest { k: 2, ..ask("ann") }).await.unwrap();
    assert_eq!((two.items.len(), left_out(&two)), (2, Vec::new()), "as many as asked for");
    let request = v1::RecommendRequest {
        filter: [("category".to_owned(), "hat".to_owned())].into(),
        exclude_item_ids: vec!["hat2".to_owned()],
        ..ask("ann")
    };
    let short = world.recommend(request).await.unwrap();
    // Four shoes, of one of which nothing is known; of the three hats that are left one is out of stock.
    let expected = [("attributes", 4), ("excluded", 1), ("stock", 1)];
    assert_eq!(left_out(&short), expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(short.tier(), v1::Tier::Full, "that is no degradation");
    let filter = [("category".to_owned(), "sofa".to_owned())].into();
    let none = world.recommend(v1::RecommendRequest { filter, ..ask("ann") }).await.unwrap();
    assert!(none.items.is_empty());
    assert_eq!(none.left_out[0].filter, "attributes");
    let counts = world.handle.metrics.snapshot();
    assert_eq!((counts.empty, counts.short["attributes"]), (1, 2), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_surfaces_keep_what_was_seen() {
    let world = World::start(Setup::default()).await;
    let min_positions = world.view("ann", &["shoe1"]).await;
    let request = v1::RecommendRequest { min_positions, ..ask("ann") };
    let home = world.recommend(request.clone()).await.unwrap();
    assert!(!ids(&home).contains(&"shoe1"));
    let request = v1::RecommendRequest { surface: "history".to_owned(), ..request };
    let history = world.recommend(request).await.unwrap();
    assert!(ids(&history).contains(&"shoe1"));
}
