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
