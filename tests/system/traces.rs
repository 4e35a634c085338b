//! A click can be followed from the call to the commit by its trace.

use std::time::Duration;

use runtime::clock::Clock;
use serde_json::Value;
use tonic::Request;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::trained::{trained, with};

const PATIENCE: Duration = Duration::from_secs(60);
const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{ID}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

/// Lines of the log that show the trace, wherever they do.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.contains(ID));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_is_followed_from_the_call_to_its_commits() {
    let (twofold, _) = trained();
    let before = twofold.json(&with(&["parity"]));
    let settings = std::fs::read_to_string(twofold.path("twofold.toml")).unwrap();
    let telemetry = "\n[telemetry]\nformat = \"json\"\nfilter = \"info,online::trace=debug\"\n";
    twofold.file("twofold.toml", &(settings + telemetry));
    let up = &with(&["up", "--listen", "127.0.0.1:0"]);
    let mut up = twofold.start_logged(up, "up.log");
    let server = format!("http://{}", up.address().unwrap());
    let payload = format!(
        r#"{{"event_id":"t","event_time":{},"visitor_id":"ann","kind":"view","item_id":"item-01"}}"#,
        Clock::system().now().0
    );
    let event = v1::Event { source: "clickstream".to_owned(), payload: payload.into_bytes() };
    let mut tracker = TrackerClient::connect(server.clone()).await.unwrap();
    let request = traced(v1::TrackRequest { events: vec![event] });
    let tracked = tracker.track(request).await.unwrap().into_inner();
    let position = tracked.statuses[0].position.clone().unwrap();
    let mut recommender = RecommenderClient::connect(server).await.unwrap();
    let request = v1::RecommendRequest {
        surface: "home".to_owned(),
        visitor_id: "ann".to_owned(),
        min_positions: vec![position.clone()],
        ..Default::default()
    };
    recommender.recommend(traced(request)).await.unwrap();

    let clock = Clock::system();
    let found = loop {
        let found = lines(&std::fs::read_to_string(twofold.path("up.log")).unwrap());
        let committed = found.iter().filter(|line| line["message"] == "committed").count();
        if committed == 2 && found.iter().any(|line| line["message"] == "answered") {
            break found;
        }
        assert!(clock.monotonic() < PATIENCE, "{found:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let appended = found.iter().find(|line| line["message"] == "appended").unwrap();
    assert_eq!(appended["span"]["trace_id"], ID, "{appended}");
    assert_eq!(appended["span"]["method"], "track", "{appended}");
    let place = |line: &Value| {
        (
            line["partition"].as_str().unwrap().to_owned(),
            line["offset"].as_str().unwrap().to_owned(),
        )
    };
    let at = (position.partition.to_string(), (position.next - 1).to_string());
    assert_eq!(place(appended), at);
    let committed = found.iter().filter(|line| line["message"] == "committed");
    let mut entities: Vec<&str> = Vec::new();
    for line in committed {
        assert_eq!((line["trace_id"].as_str(), place(line)), (Some(ID), at.clone()), "{line}");
        entities.push(line["entity"].as_str().unwrap());
    }
    entities.sort_unstable();
    assert_eq!(entities, ["item", "visitor"]);
    drop((tracker, recommender));
    up.terminate();
    // What was answered within a trace is replayed like everything else.
    let parity = twofold.json(&with(&["parity"]));
    assert_eq!(parity["mismatched"], 0, "{parity}");
    let answers = |report: &Value| report["responses"].as_u64().unwrap();
    assert_eq!(answers(&parity), answers(&before) + 1, "{parity}");
}
