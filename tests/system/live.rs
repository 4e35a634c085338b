//! The whole path on Apache Kafka and Redis: `tests/run` starts them.

use std::path::PathBuf;

use serde_json::Value;
use servers::{Fsync, Kafka, Redis};

use crate::night::sessions;
use crate::twofold::Twofold;

/// A broker, a store, and the flags that name them.
struct Servers {
    _kafka: Kafka,
    _redis: Redis,
    flags: [String; 4],
}

impl Servers {
    fn start() -> Self {
        let of = |name: &str| {
            #[allow(clippy::disallowed_methods, reason = "tests/run says where the servers are")]
            let path = std::env::var(name).unwrap_or_else(|_| panic!("{name}: see tests/run"));
            PathBuf::from(path)
        };
        let kafka = Kafka::start(&of("SERVERS_KAFKA_LIBS"));
        let redis = Redis::start(&of("SERVERS_REDIS_SERVER"), Fsync::Always);
        let log = format!("kafka://{}", kafka.bootstrap());
        let flags = ["--log".to_owned(), log, "--store".to_owned(), redis.url()];
        Self { _kafka: kafka, _redis: redis, flags }
    }

    fn with<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }
}

pub(crate) fn digests(status: &Value) -> Vec<&Value> {
    status["lanes"].as_array().unwrap().iter().map(|lane| &lane["digest"]).collect()
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn the_same_records_give_the_same_digests_on_both_pairs() {
    let (servers, live, embedded) = (Servers::start(), Twofold::new(), Twofold::new());
    let text = sessions(0..3, false);
    let (there, here) = (live.file("train.txt", &text), embedded.file("train.txt", &text));
    live.json(&servers.with(&["topics", "create"]));
    let checked = live.json(&servers.with(&["topics", "check"]));
    assert!(checked["topics"].as_array().unwrap().iter().all(|row| row["findings"].is_null()));
    let imported = live.json(&servers.with(&["import", "yoochoose", there.to_str().unwrap()]));
    assert_eq!(imported["appended"], 1800, "{imported}");
    live.json(&servers.with(&["update", "--drain"]));
    embedded.json(&["import", "yoochoose", here.to_str().unwrap()]);
    embedded.json(&["update", "--drain"]);
    let on_servers = live.json(&servers.with(&["status", "--digest"]));
    let on_embedded = embedded.json(&["status", "--digest"]);
    assert_eq!(digests(&on_servers), digests(&on_embedded), "{on_servers}\n{on_embedded}");
    assert!(on_servers["lanes"].as_array().unwrap().iter().all(|lane| lane["lag"] == 0));

    // Nothing is applied twice: what is covered stays covered.
    live.json(&servers.with(&["update", "--drain"]));
    assert_eq!(on_servers, live.json(&servers.with(&["status", "--digest"])));
    // A lane that is removed from Redis is built again, to the same bytes.
    let lanes = live.json(&servers.with(&["lanes", "list"]));
    for lane in lanes["lanes"].as_array().unwrap() {
        live.json(&servers.with(&["lanes", "remove", lane["id"].as_str().unwrap()]));
    }
    live.json(&servers.with(&["bootstrap"]));
    assert_eq!(on_servers, live.json(&servers.with(&["status", "--digest"])));
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn the_demo_runs_on_kafka_and_redis_and_parity_holds() {
    let (servers, twofold) = (Servers::start(), Twofold::new());
    let report = twofold.json(&servers.with(&["--data", "shop", "demo", "--seed", "3"]));
    assert_eq!(report["parity"]["mismatched"], 0, "{report}");
    assert!(report["parity"]["values"].as_u64().unwrap() > 1000, "{report}");
    // A machine that is busy with other tests may let an answer run out of time, which is counted and no more.
    let skipped = report["parity"]["skipped"].as_object().unwrap();
    let busy = ["degraded_read", "degraded_source", "unscored"];
    assert!(skipped.keys().all(|reason| busy.contains(&reason.as_str())), "{report}");
    assert_ne!(report["before"], report["after"]);
    assert_eq!(report["burst"]["failed"], 0, "{report}");
    for lane in report["lanes"].as_array().unwrap() {
        let count = |name: &str| lane[name].as_u64().unwrap();
        let judged = count("applied") + count("duplicate") + count("late") + count("dead_lettered");
        assert_eq!((count("read"), count("lag")), (judged, 0), "{lane}");
    }
    let parity = twofold.json(&servers.with(&["--data", "shop", "parity"]));
    assert_eq!(parity["mismatched"], 0, "{parity}");
}

/// A shop of two seasons half a year apart, whose visitors of the first never come back.
fn two_seasons() -> String {
    let event = |n: i64, season: i64, visitor: String| {
        let at_us = 1_600_000_000_000_000 + season * 180 * 86_400_000_000 + n * 1_000_000;
        format!(
            "{{\"event_id\":\"{season}-{n}\",\"event_time\":{at_us},\"visitor_id\":\"{visitor}\",\
             \"kind\":\"view\",\"item_id\":\"item-{}\",\"category\":\"c\"}}\n",
            n % 50
        )
    };
    let first = (0..1_000).map(|n| event(n, 0, format!("gone-{}", n % 500)));
    first.chain((0..2_000).map(|n| event(n, 1, format!("here-{}", n % 40)))).collect()
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn silent_visitors_are_swept_from_both_stores_and_no_digest_tells() {
    let (servers, live, embedded, whole) =
        (Servers::start(), Twofold::new(), Twofold::new(), Twofold::new());
    let events = two_seasons();
    let drained = |twofold: &Twofold, batch_records: usize, flags: &[&str]| {
        let settings = format!("[updater]\nbatch_records = {batch_records}\n");
        twofold.file("twofold.toml", &settings);
        let file = twofold.file("events.jsonl", &events);
        let with = |command: &[&str]| {
            let arguments = [flags, &["--config", "twofold.toml"], command].concat();
            twofold.json(&arguments)
        };
        with(&["topics", "create"]);
        let imported = with(&["import", "jsonl", file.to_str().unwrap()]);
        assert_eq!(imported["appended"], 3_000, "{imported}");
        let swept = with(&["update", "--drain"])["counters"]["states_swept"].as_u64().unwrap();
        (swept, with(&["status", "--digest"]))
    };
    let flags: Vec<&str> = servers.flags.iter().map(String::as_str).collect();
    let (from_redis, on_servers) = drained(&live, 50, &flags);
    let (from_embedded, on_embedded) = drained(&embedded, 50, &[]);
    // One commit of everything looks at nothing.
    let (from_whole, on_whole) = drained(&whole, 100_000, &[]);
    assert_eq!(from_whole, 0);
    // Both lanes of the clickstream know visitors: one their features, one which copies there were.
    assert!(from_redis > 900 && from_embedded > 900, "{from_redis}, {from_embedded} of 1,000");
    assert_eq!(digests(&on_servers), digests(&on_whole), "{on_servers}\n{on_whole}");
    assert_eq!(digests(&on_embedded), digests(&on_whole), "{on_embedded}\n{on_whole}");
}
