//! `/metrics` of running roles: what `status` and the requests say, in a format that a strict reader takes.

#[path = "metrics/page.rs"]
mod page;

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use runtime::clock::Clock;
use serde_json::Value;
use servers::{Fsync, Kafka, Redis};
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::night::sessions;
use crate::trained::{trained, with};
use crate::twofold::{Running, Twofold, spawned};
use page::{Page, ask, scrape};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Scrapes until the page is so.
fn until(address: &str, what: &str, mut wanted: impl FnMut(&Page) -> bool) -> Page {
    let clock = Clock::system();
    loop {
        let page = scrape(address);
        if wanted(&page) {
            return page;
        }
        assert!(clock.monotonic() < PATIENCE, "{what}: {page:#?}");
        std::thread::sleep(LOOK);
    }
}

/// A role that looks at the lag often, and where its metrics are.
fn start(twofold: &Twofold, arguments: &[&str]) -> (Running, Value, String) {
    let mut command = twofold.command(arguments);
    command.env("TWOFOLD_METRICS_SAMPLE_MS", "50").env("TWOFOLD_METRICS_LISTEN", "0");
    let mut role = spawned(command);
    let said = role.said().unwrap();
    let address = said["metrics"].as_str().unwrap().to_owned();
    (role, said, address)
}

fn event(n: u32, at_us: i64) -> v1::Event {
    let payload = format!(
        r#"{{"event_id":"m{n}","event_time":{at_us},"visitor_id":"ann","kind":"view","item_id":"item-01"}}"#
    );
    v1::Event { source: "clickstream".to_owned(), payload: payload.into_bytes() }
}

/// Lags, ledgers and watermarks are those of `status --json`.
fn agrees_with_status(page: &Page, status: &Value) -> bool {
    status["lanes"].as_array().unwrap().iter().all(|lane| {
        let text = |key: &str| lane[key].as_str().unwrap();
        let partition = lane["partition"].to_string();
        let of =
            [("source", text("source")), ("entity", text("entity")), ("partition", &*partition)];
        let ledger = |outcome| {
            let labels = [&of[..], &[("outcome", outcome)]].concat();
            page.sum("twofold_ledger_records", &labels) == lane[outcome].as_f64().unwrap()
        };
        let watermark_us = lane["watermark_us"].as_f64().unwrap_or(0.0);
        let watermark = page.sum("twofold_watermark_timestamp_seconds", &of);
        page.sum("twofold_lag_records", &of) == lane["lag"].as_f64().unwrap()
            && (watermark - watermark_us / 1e6).abs() < 1e-5
            && ["applied", "duplicate", "late", "dead_lettered"].into_iter().all(ledger)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_shop_shows_what_it_was_asked_and_what_it_did() {
    let (twofold, bundle) = trained();
    let (mut up, said, address) = start(&twofold, &with(&["up", "--listen", "127.0.0.1:0"]));
    let first =
        until(&address, "nothing sampled", |page| !page.values("twofold_lag_records").is_empty());
    assert_eq!(first.values("twofold_ready"), [1.0]);
    assert_eq!(first.labels("twofold_bundle_info")["digest"], bundle);
    let build = first.labels("twofold_build_info");
    assert_eq!((&*build["log"], build["definitions"].len()), ("embedded", 64));
    let started_s = first.values("process_start_time_seconds")[0];
    let now_s = Clock::system().now().0 as f64 / 1e6;
    assert!((now_s - 600.0..now_s + 1.0).contains(&started_s), "{started_s} {now_s}");

    let server = format!("http://{}", said["listening"].as_str().unwrap());
    let mut tracker = TrackerClient::connect(server.clone()).await.unwrap();
    let now_us = Clock::system().now().0;
    let torn = v1::Event { source: "clickstream".to_owned(), payload: b"{torn".to_vec() };
    // The second is the first again: a duplicate.
    let events = vec![event(1, now_us), event(1, now_us), event(2, now_us), torn];
    tracker.track(v1::TrackRequest { events }).await.unwrap();
    tracker.track(v1::TrackRequest::default()).await.unwrap_err();
    let mut recommender = RecommenderClient::connect(server).await.unwrap();
    let request = v1::RecommendRequest {
        surface: "home".to_owned(),
        visitor_id: "ann".to_owned(),
        user_id: "anna".to_owned(),
        ..Default::default()
    };
    for _ in 0..3 {
        recommender.recommend(request.clone()).await.unwrap();
    }
    let wrong = v1::RecommendRequest { k: 5_000, ..request };
    recommender.recommend(wrong).await.unwrap_err();

    let lane = [("source", "clickstream"), ("entity", "visitor")];
    let page = until(&address, "three records, three answers written", |page| {
        page.sum("twofold_updater_visible_seconds_count", &lane) == 3.0
            && page.sum("twofold_served_records_total", &[("outcome", "written")]) == 3.0
    });
    let calls = |method, outcome| {
        page.sum("twofold_request_seconds_count", &[("method", method), ("outcome", outcome)])
    };
    assert_eq!((calls("recommend", "ok"), calls("recommend", "invalid")), (3.0, 1.0));
    assert_eq!((calls("track", "ok"), calls("track", "invalid")), (1.0, 1.0));
    let tracked = |outcome| page.sum("twofold_tracked_events_total", &[("outcome", outcome)]);
    assert_eq!((tracked("ok"), tracked("invalid"), tracked("unavailable")), (3.0, 1.0, 0.0));
    let unmerged = [("stage", "identity"), ("kind", "unmerged")];
    assert_eq!(page.sum("twofold_degraded_total", &unmerged), 3.0);
    let records = |outcome| {
        page.sum("twofold_updater_records_total", &[&lane[..], &[("outcome", outcome)]].concat())
    };
    assert_eq!((records("applied"), records("duplicate"), records("late")), (2.0, 1.0, 0.0));
    let commits = page.sum("twofold_updater_commits_total", &[]);
    assert_eq!(page.sum("twofold_updater_commit_seconds_count", &[]), commits);
    assert!(commits >= 2.0, "both lanes: {commits}");

    let status = twofold.json(&with(&["status"]));
    let page = until(&address, "the status", |page| agrees_with_status(page, &status));
    assert_eq!(page.sum("twofold_lag_records", &[]), 0.0);
    assert_eq!(page.sum("twofold_lag_seconds", &[]), 0.0);
    let mut risen = 0;
    for ((name, labels), before) in first.rising() {
        let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let after = page.sum(name, &labels);
        assert!(after >= before, "{name} {labels:?} fell from {before} to {after}");
        risen += usize::from(after > before);
    }
    assert!(risen > 20, "{risen}");
    let readme = include_str!("../../README.md");
    for name in page.names() {
        assert!(readme.contains(&format!("`{name}`")), "README.md does not tell of {name}");
    }
    assert!(ask(&address, "GET /").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(&address, "POST /metrics").0.starts_with("HTTP/1.1 405 "));
    assert_eq!(ask(&address, "HEAD /metrics").1, "");
    drop((tracker, recommender));
    up.terminate();
}

/// Also where nobody folds: a lag that nobody works on is one to be told of.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_an_updater_shows_the_lag_that_nobody_works_on() {
    let (twofold, _) = trained();
    let (mut serve, said, address) = start(&twofold, &with(&["serve", "--listen", "127.0.0.1:0"]));
    let server = format!("http://{}", said["listening"].as_str().unwrap());
    let mut tracker = TrackerClient::connect(server).await.unwrap();
    let events = vec![event(1, Clock::system().now().0)];
    tracker.track(v1::TrackRequest { events }).await.unwrap();
    let lagging = until(&address, "a lag of one in both lanes", |page| {
        page.sum("twofold_lag_records", &[("source", "clickstream")]) == 2.0
    });
    assert!(lagging.values("twofold_updater_records_total").is_empty());
    let status = twofold.json(&with(&["status"]));
    assert!(agrees_with_status(&lagging, &status), "{status}");
    until(&address, "it grows old", |page| page.sum("twofold_lag_seconds", &[]) > 2.0);
    drop(tracker);
    serve.terminate();
}

#[test]
fn an_address_that_is_wrong_or_taken_ends_with_64() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port().to_string();
    let twofold = Twofold::new();
    for role in [&["up", "--listen", "127.0.0.1:0"][..], &["update"], &["update", "--drain"]] {
        for (at, expected) in [("nowhere", "ADDRESS:PORT"), (&*taken, "metrics.listen")] {
            let (code, stderr) = twofold.fails(&[role, &["--metrics", at]].concat());
            assert_eq!(code, 64, "{role:?} {at}: {stderr}");
            assert!(stderr.contains(expected), "{role:?} {at}: {stderr}");
        }
    }
    assert!(!twofold.path("twofold-data").exists(), "nothing was made");
    let output = twofold.command(&["status"]).env("TWOFOLD_METRICS_LISTEN", "x").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn servers_that_are_away_freeze_no_scrape() {
    let of = |name: &str| {
        #[allow(clippy::disallowed_methods, reason = "tests/run says where the servers are")]
        let path = std::env::var(name).unwrap_or_else(|_| panic!("{name}: see tests/run"));
        PathBuf::from(path)
    };
    let kafka = Kafka::start(&of("SERVERS_KAFKA_LIBS"));
    let redis = Redis::start(&of("SERVERS_REDIS_SERVER"), Fsync::Always);
    let twofold = Twofold::new();
    let flags = [
        "--log".to_owned(),
        format!("kafka://{}", kafka.bootstrap()),
        "--store".to_owned(),
        redis.url(),
    ];
    let flagged = |arguments: &[&'static str]| {
        flags.iter().map(|flag| flag.as_str()).chain(arguments.iter().copied()).collect::<Vec<_>>()
    };
    let file = twofold.file("train.txt", &sessions(0..1, false));
    let import = [flagged(&["import", "yoochoose"]), vec![file.to_str().unwrap()]].concat();
    twofold.json(&import);
    let (mut update, _, address) = start(&twofold, &flagged(&["update"]));
    let lane = [("source", "clickstream"), ("entity", "visitor"), ("outcome", "applied")];
    until(&address, "all of it", |page| page.sum("twofold_ledger_records", &lane) == 600.0);
    let fine = scrape(&address);
    assert_eq!(fine.sum("twofold_updater_records_total", &lane), 600.0);
    assert_eq!(fine.sum("twofold_updater_partitions", &[]), 12.0, "three lanes, four partitions");
    // It asks the store about every lane, having none itself.
    let serving = flagged(&["serve", "--listen", "127.0.0.1:0"]);
    let (mut serve, _, address) = start(&twofold, &serving);
    let breakers = |page: &Page, state| page.sum("twofold_redis_breakers", &[("state", state)]);
    let fine = until(&address, "a look at each lane", |page| {
        page.sum("twofold_ledger_records", &lane) == 600.0
            && page.values("twofold_sample_age_seconds").len() == 3
    });
    assert_eq!((breakers(&fine, "closed"), breakers(&fine, "open")), (2.0, 0.0));

    kafka.pause();
    let old = until(&address, "the samples grow old", |page| {
        page.values("twofold_sample_age_seconds").into_iter().any(|age| age > 3.0)
    });
    assert_eq!(old.sum("twofold_ledger_records", &lane), 600.0, "the last sample stays");
    kafka.resume();
    until(&address, "samples again", |page| {
        page.values("twofold_sample_age_seconds").into_iter().all(|age| age < 2.0)
    });
    redis.pause();
    let open = until(&address, "a breaker that opens", |page| breakers(page, "closed") == 1.0);
    let reads = [("link", "reads")];
    assert_eq!(open.sum("twofold_redis_breaker_openings_total", &reads), 1.0);
    until(&address, "it is counted", |page| {
        page.sum("twofold_sample_failures_total", &[("port", "store")]) > 0.0
            && page.sum("twofold_redis_refused_calls_total", &reads) > 0.0
    });
    redis.resume();
    until(&address, "it closes again", |page| breakers(page, "closed") == 2.0);
    serve.kill();
    update.kill();
}
