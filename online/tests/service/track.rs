//! `Track`: a status per event, a position that covers it, and the log holds it.

use tonic::Code;
use wire::v1;
use wire::v1::track_status::Code as Status;
use wire::v1::tracker_client::TrackerClient;

use crate::world::{Setup, World};

fn raw(source: &str, payload: &str) -> v1::Event {
    v1::Event { source: source.to_owned(), payload: payload.as_bytes().to_vec() }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_has_its_own_status() {
    let world = World::start(Setup::default()).await;
    let future = world.clock.now().0 + 6 * 60_000_000;
    let future = format!(
        r#"{{"event_id":"f","event_time":{future},"visitor_id":"v","kind":"view","item_id":"i"}}"#
    );
    let events = vec![
        world.click("ann", "shoe1"),
        raw("clickstream", "{torn"),
        raw("clickstream", r#"{"event_id":"x","event_time":1700000000000000,"kind":"view"}"#),
        raw("sofas", "{}"),
        raw("clickstream", &future),
        world.click("bob", "shoe1"),
    ];
    let sent = [events[0].payload.clone(), events[5].payload.clone()];
    let response = world.track(events).await;
    let codes: Vec<Status> = response.statuses.iter().map(v1::TrackStatus::code).collect();
    use Status::{Invalid, Ok};
    assert_eq!(codes, [Ok, Invalid, Invalid, Invalid, Invalid, Ok]);
    let details: Vec<&str> = response.statuses.iter().map(|s| s.detail.as_str()).collect();
    assert!(details[1].starts_with("malformed"), "{details:?}");
    assert!(details[2].contains("visitor_id"), "{details:?}");
    assert!(details[3].contains("clickstream"), "{details:?}");
    assert!(details[4].starts_with("future"), "{details:?}");
    let counts = world.handle.metrics.snapshot();
    assert_eq!((counts.track_ok, counts.track_invalid), (2, 4));
    for (place, payload) in [0, 5].into_iter().zip(sent) {
        let position = response.statuses[place].position.clone().unwrap();
        let at = record::Offset(position.next - 1);
        let partition = record::Partition(position.partition);
        let mut reader = world.log.reader(&position.topic, partition, at).await.unwrap();
        let records = reader.next(1, std::time::Duration::from_secs(5)).await.unwrap();
        assert_eq!(records[0].value, payload, "unchanged, where the position says");
    }
}

/// An event of visitor `v`, as JSON.
fn event(world: &World, id: &str, kind: &str, item: &str, more: &str) -> v1::Event {
    let at = world.clock.now().0;
    let payload = format!(
        r#"{{"event_id":"{id}","event_time":{at},"visitor_id":"v","kind":"{kind}","item_id":"{item}"{more}}}"#
    );
    raw("clickstream", &payload)
}

fn category(bytes: usize) -> String {
    format!(r#","category":"{}""#, "c".repeat(bytes))
}

async fn appended(world: &World, topic: &str) -> u64 {
    let bounds = world.log.bounds(topic).await.unwrap();
    bounds.iter().map(|bounds| bounds.next.0).sum()
}

/// Until the lanes are past what was tracked.
async fn covered(world: &World, statuses: Vec<v1::TrackStatus>) {
    let positions: Vec<_> = statuses.into_iter().filter_map(|status| status.position).collect();
    let request = v1::RecommendRequest { min_positions: positions, ..crate::world::ask("v") };
    while world.recommend(request.clone()).await.unwrap().stale {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_every_lane_would_refuse_is_refused_and_not_appended() {
    let world = World::start(Setup::default()).await;
    let price = format!(r#","price_cents":{},"quantity":2"#, i64::MAX);
    let events = vec![
        // The visitors' lane cannot keep the category, the items' lane has no key.
        event(&world, "a", "view", "", &category(257)),
        event(&world, "b", "purchase", &"i".repeat(513), &price),
        // What a feature does not ask for is not judged.
        event(&world, "c", "purchase", "i", &category(257)),
        event(&world, "d", "view", "i", &price),
    ];
    let statuses = world.track(events).await.statuses;
    let codes: Vec<Status> = statuses.iter().map(v1::TrackStatus::code).collect();
    assert_eq!(codes, [Status::Invalid, Status::Invalid, Status::Ok, Status::Ok], "{statuses:?}");
    assert!(statuses[..2].iter().all(|s| !s.detail.is_empty() && s.position.is_none()));
    assert!(statuses.iter().all(|s| s.refused_by.is_empty()), "{statuses:?}");
    assert_eq!(appended(&world, "clickstream").await, 2);
    // And so no lane finds a dead letter.
    covered(&world, statuses).await;
    assert_eq!(appended(&world, "dead-letter").await, 0);
}

/// What one lane counts must be in the log whoever took it in; the client is told who goes without it.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_lane_refuses_is_appended_and_said() {
    let world = World::start(Setup::default()).await;
    let price = |cents: i64| format!(r#","price_cents":{cents},"quantity":2"#);
    let events = vec![
        // Kept over and over by `views_by_category`.
        event(&world, "a", "view", "i", &category(257)),
        // No product of 64 bits.
        event(&world, "b", "purchase", "i", &price(i64::MAX)),
        // No sum that can be kept exactly.
        event(&world, "c", "purchase", "i", &price(1 << 60)),
        event(&world, "d", "view", "", ""),
        event(&world, "e", "view", "i", ""),
    ];
    let statuses = world.track(events).await.statuses;
    let good = |s: &v1::TrackStatus| s.code() == Status::Ok && s.position.is_some();
    assert!(statuses.iter().all(good), "{statuses:?}");
    let found: Vec<Vec<(&str, &str)>> = statuses
        .iter()
        .map(|status| {
            let reason = |detail| str::split(detail, ':').next().unwrap_or_default();
            let by = status.refused_by.iter();
            by.map(|by| (by.entity.as_str(), reason(&by.detail))).collect()
        })
        .collect();
    assert_eq!(
        found,
        [
            vec![("visitor", "out_of_range")],
            vec![("visitor", "expression")],
            vec![("visitor", "out_of_range")],
            vec![("item", "missing_key")],
            vec![],
        ],
        "{statuses:?}"
    );
    assert!(statuses[0].refused_by[0].detail.contains("at most 256"), "{statuses:?}");
    assert_eq!(appended(&world, "clickstream").await, 5);
    // As many dead letters as were told of, and the other lane has counted the rest.
    covered(&world, statuses).await;
    assert_eq!(appended(&world, "dead-letter").await, 4);
    let request = v1::GetFeaturesRequest {
        entity: "visitor".to_owned(),
        keys: vec!["v".to_owned()],
        ..Default::default()
    };
    let features = world.features(request).await.unwrap();
    let views = &features.entities[0].values["user_activity.views_30m"];
    let two = v1::feature_value::Value::IntValue(2);
    assert_eq!(views.value, Some(two), "without an item it is a view all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_can_be_tracked_can_be_asked_about() {
    let world = World::start(Setup::default()).await;
    for (bytes, good) in [(512, true), (513, false)] {
        let visitor = "v".repeat(bytes);
        let status = world.track(vec![world.click(&visitor, "shoe1")]).await.statuses.remove(0);
        assert_eq!(status.code() == Status::Ok, good, "{status:?}");
        let recommended = world.recommend(crate::world::ask(&visitor)).await;
        assert_eq!(recommended.is_ok(), good, "{recommended:?}");
        let keys = vec![visitor];
        let request =
            v1::GetFeaturesRequest { entity: "visitor".to_owned(), keys, ..Default::default() };
        let features = world.features(request).await;
        assert_eq!(features.is_ok(), good, "{features:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_bounded() {
    let world = World::start(Setup::default()).await;
    let mut client = TrackerClient::new(world.channel.clone());
    let many = vec![world.click("ann", "shoe1"); 501];
    let large = vec![raw("clickstream", &"x".repeat(1_100_000))];
    for (events, limit) in [(many, "500"), (large, "1048576"), (Vec::new(), "at least one")] {
        let error = client.track(v1::TrackRequest { events }).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(limit), "{error}");
    }
    let bounds = world.log.bounds("clickstream").await.unwrap();
    assert!(bounds.iter().all(|bounds| bounds.next == record::Offset(0)), "nothing was appended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_does_not_take_is_said_and_counted() {
    let world = World::start(Setup::default()).await;
    world.track_appends.fail(true);
    let events = vec![world.click("ann", "shoe1"), raw("clickstream", "{torn")];
    let response = world.track(events.clone()).await;
    let codes: Vec<Status> = response.statuses.iter().map(v1::TrackStatus::code).collect();
    assert_eq!(codes, [Status::Unavailable, Status::Invalid]);
    assert!(response.statuses[0].detail.contains("told to"), "{response:?}");
    assert!(response.statuses[0].position.is_none(), "it is nowhere");
    world.track_appends.fail(false);
    assert_eq!(world.track(events).await.statuses[0].code(), Status::Ok, "sent again, it is taken");
    let counts = world.handle.metrics.snapshot();
    assert_eq!((counts.track_ok, counts.track_invalid, counts.track_unavailable), (1, 2, 1));
}
