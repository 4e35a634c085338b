//! `twofold bench` on real servers: the figures are there, and nothing is left behind. `tests/bench_live` runs the
//! same with a full load and prints the figures.

#![expect(clippy::print_stdout, reason = "`tests/bench_live` shows the figures")]

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use servers::{Fsync, Kafka, Redis};

use crate::faults::{kafka, redis_server};
use crate::night::sessions;
use crate::trained::{trained, with};
use crate::twofold::{Twofold, text};

/// Names of the variables that say how much of it.
const EVENTS: &str = "BENCH_EVENTS";
const VISITORS: &str = "BENCH_VISITORS";

fn said(variable: &str, otherwise: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "who runs the tests says how long they may take")]
    std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
}

/// A broker and a store that hold somebody's events and states.
struct Shop {
    twofold: Twofold,
    kafka: Kafka,
    redis: Redis,
    flags: [String; 4],
}

/// What others see of a shop.
#[derive(Debug, PartialEq)]
struct Seen {
    topics: Vec<String>,
    keys: String,
    status: Value,
}

impl Shop {
    fn start() -> Self {
        // Redis would write its append-only file anew every few seconds of so many writes to so few keys, which
        // takes one of the machine's processors for a second each time.
        let never = ["--auto-aof-rewrite-percentage", "0"];
        let redis = Redis::start_with(&redis_server(), Fsync::EverySecond, &never);
        let kafka = kafka();
        let log = format!("kafka://{}", kafka.bootstrap());
        let flags = ["--log".to_owned(), log, "--store".to_owned(), redis.url()];
        let shop = Self { twofold: Twofold::new(), kafka, redis, flags };
        let train = shop.twofold.file("train.txt", &sessions(0..1, false));
        shop.twofold.json(&shop.with(&["topics", "create"]));
        shop.twofold.json(&shop.with(&["import", "yoochoose", train.to_str().unwrap()]));
        shop.twofold.json(&shop.with(&["update", "--drain"]));
        shop
    }

    fn with<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        self.flags.iter().map(String::as_str).chain(arguments.iter().copied()).collect()
    }

    fn topics(&self) -> Vec<String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.bootstrap());
        let consumer: BaseConsumer = config.create().unwrap();
        let found = consumer.fetch_metadata(None, Duration::from_secs(30)).unwrap();
        let mut names: Vec<String> = found.topics().iter().map(|t| t.name().to_owned()).collect();
        names.sort();
        names
    }

    fn seen(&self) -> Seen {
        Seen {
            topics: self.topics(),
            keys: self.redis.ask("DBSIZE").unwrap(),
            status: self.twofold.json(&self.with(&["status", "--digest"])),
        }
    }

    /// Runs a benchmark; its figures by name.
    fn bench(&self, arguments: &[&str]) -> BTreeMap<String, f64> {
        let output = self.twofold.output(&self.with(&[&["bench"], arguments].concat()));
        let stdout = text(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        println!("{stdout}");
        let figure = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["bench"], arguments[0], "{line}");
            (line["name"].as_str().unwrap().to_owned(), line["value"].as_f64().unwrap())
        };
        stdout.lines().map(figure).collect()
    }
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn update_is_measured_beside_raw_limits_and_leaves_nothing() {
    let shop = Shop::start();
    let before = shop.seen();
    let program = redis_server().with_file_name("redis-benchmark");
    let events = said(EVENTS, "6000");
    let program = ["--redis-benchmark", program.to_str().unwrap()];
    // A broker that has just started compiles itself for its first half minute, on the same processors.
    shop.bench(&["update", "--events", &events]);
    println!("warm:");
    let figures = shop.bench(&[&["update", "--events", &events][..], &program].concat());
    for name in [
        "append",
        "drain",
        "commits",
        "raw-kafka",
        "state",
        "states-each",
        "raw-redis-pipeline",
        "raw-redis-benchmark",
        "raw-redis",
        "share",
        "sustained",
        "load",
        "visible-p50",
        "visible-p99",
        "visible-max",
        "acknowledged-p99",
        "visible-after-max",
    ] {
        let figure = figures.get(name).unwrap_or_else(|| panic!("{name}: {figures:?}"));
        assert!(*figure > 0.0, "{name}: {figures:?}");
    }
    assert_eq!(figures["invisible"], 0.0);
    let redis = figures["raw-redis-pipeline"].max(figures["raw-redis-benchmark"]);
    let limit = figures["raw-kafka"].min(redis / figures["states-each"]);
    assert!((figures["share"] - figures["drain"] / limit).abs() < 1e-9, "{figures:?}");
    assert!((figures["load"] - figures["sustained"] / 2.0).abs() < 1e-6, "{figures:?}");
    assert_eq!(shop.seen(), before);
    assert!(!before.topics.iter().any(|topic| topic.starts_with("bench-")), "{before:?}");
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn memory_is_measured_and_leaves_nothing() {
    let shop = Shop::start();
    let before = shop.seen();
    let visitors = said(VISITORS, "2000");
    let figures = shop.bench(&["memory", "--visitors", &visitors]);
    let sum = figures["item-lane"] + figures["visitor-lane"];
    assert!((figures["used"] - sum).abs() < 1e-6, "{figures:?}");
    assert!(figures["visitor-lane"] > 100.0, "no state is smaller: {figures:?}");
    let vectors = figures["used-with-vectors"] - figures["used"];
    assert!(vectors > 4.0 * figures["dimension"], "{figures:?}");
    let gib = figures["used"] * 1e6 / f64::from(1 << 30);
    assert!((figures["per-million"] - gib).abs() < 1e-9, "{figures:?}");
    assert_eq!(shop.seen(), before);
    assert!(!shop.twofold.path("twofold-data/tmp/bench-memory").exists());
}

#[test]
fn what_serve_answers_is_not_on_record() {
    let (twofold, _) = trained();
    twofold.json(&with(&["topics", "create"]));
    let topics = || twofold.json(&with(&["topics", "list"]));
    let before = topics();
    let output = twofold.output(&with(&["bench", "serve", "--requests", "3"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    let mut lines = stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rate = lines.find(|line| line["name"] == "one-client-rate").unwrap();
    assert!(rate["value"].as_f64() > Some(0.0), "it was answered: {stdout}");
    let after = topics();
    assert!(after.to_string().contains("\"served\""), "{after}");
    assert_eq!(after, before);
    assert!(!twofold.path("twofold-data/tmp/bench-serve").exists());
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let twofold = Twofold::new();
    let refused = |arguments: &[&str], remedy: &str| {
        let (code, stderr) = twofold.fails(&[&["bench"], arguments].concat());
        assert_eq!(code, 64, "{arguments:?}: {stderr}");
        assert!(stderr.contains(remedy), "{arguments:?}: {stderr}");
    };
    refused(&["memory"], "--store redis://");
    refused(&["update", "--log", "kafka://127.0.0.1:1"], "--store redis://");
    refused(&["update", "--redis-benchmark", "redis-benchmark"], "--log kafka://");
    refused(&["update", "--events", "0"], "at least 1");
    refused(&["update", "--offered", "0"], "at least 1");
    refused(&["fold", "--events", "0"], "at least 1");
    refused(&["serve", "--requests", "0"], "at least 1");
    let cluster = ["--log", "kafka://127.0.0.1:1", "--store", "redis+cluster://127.0.0.1:1"];
    refused(&[&["update"], &cluster[..]].concat(), "redis://");
    let secret = ["--log", "kafka://127.0.0.1:1", "--store", "redis://:pw@127.0.0.1:1"];
    let program = ["--redis-benchmark", "redis-benchmark"];
    refused(&[&["update"], &secret[..], &program].concat(), "password");
}
