//! Cursors over gRPC.

use tonic::Code;
use wire::v1;

use crate::model::{self, Scoring};
use crate::world::{ITEMS, Setup, World, ask, causes, ids};

fn page(cursor: &str) -> v1::RecommendRequest {
    v1::RecommendRequest { k: 3, cursor: cursor.to_owned(), ..ask("ann") }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_share_their_time_and_no_item() {
    let world = World::start(Setup::default()).await;
    let mut seen: Vec<String> = Vec::new();
    let mut cursor = String::new();
    let mut as_of = None;
    for _ in 0..10 {
        let response = world.recommend(page(&cursor)).await.unwrap();
        seen.extend(ids(&response).iter().map(ToString::to_string));
        assert_eq!(*as_of.get_or_insert(response.as_of_us), response.as_of_us);
        cursor = response.next_cursor;
        if cursor.is_empty() {
            break;
        }
        world.clock.advance(std::time::Duration::from_secs(60));
        // A swap between two pages does not show.
        world.tables.install_bundle(model::loaded(&world.definitions, "b", Scoring::HalfNan));
        world.tables.install_bundle(model::loaded(&world.definitions, "a", Scoring::Sum));
    }
    seen.sort_unstable();
    let mut all = ITEMS;
    all.sort_unstable();
    assert_eq!(seen, all, "each once, and then no cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_keeps_its_bundle_while_it_is_held() {
    let world = World::start(Setup::default()).await;
    let first = world.recommend(page("")).await.unwrap();
    world.tables.install_bundle(model::loaded(&world.definitions, "b", Scoring::Sum));
    let second = world.recommend(page(&first.next_cursor)).await.unwrap();
    assert_eq!((second.bundle, second.degradations.len()), ("a".repeat(64), 0));
    world.tables.install_bundle(model::loaded(&world.definitions, "c", Scoring::Sum));
    let third = world.recommend(page(&first.next_cursor)).await.unwrap();
    assert_eq!(third.bundle, "c".repeat(64));
    assert_eq!(causes(&third), ["cursor: the bundle of the earlier page is gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cursor_is_refused() {
    let world = World::start(Setup::default()).await;
    let first = world.recommend(page("")).await.unwrap();
    let mut cursor = first.next_cursor.clone().into_bytes();
    cursor[5] = if cursor[5] == b'0' { b'1' } else { b'0' };
    let error = world.recommend(page(&String::from_utf8(cursor).unwrap())).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("cursor"), "{}", error.message());
    let other = v1::RecommendRequest { visitor_id: "bob".to_owned(), ..page(&first.next_cursor) };
    assert_eq!(world.recommend(other).await.unwrap_err().code(), Code::InvalidArgument);
}
