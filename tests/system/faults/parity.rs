//! Answers that are given while updater, broker and Redis are killed are replayed from the log, and no value
//! differs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runtime::clock::Clock;
use serde_json::json;
use servers::{Fsync, Kafka, Redis, free_port};
use tokio::time::timeout;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use super::dose::{dose, seed};
use super::ride::{SETTINGS, create_topics, kafka, on, redis_server};
use super::row::row;
use super::stood::{Stood, until};
use super::worker::Worker;
use crate::trained::{ITEMS, trained};

const SEED: u64 = 108;
const VISITORS: u64 = 30;
const SHOPPERS: u64 = 4;
const ANSWER: Duration = Duration::from_secs(30);

/// What the shoppers share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
}

/// Clicks and asks in turns; a call that fails is no shopper's last one.
async fn shopper(address: String, pause: Duration, name: u64, seed: u64, shared: Arc<Shared>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed + name);
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect_lazy();
    let mut tracker = TrackerClient::new(channel.clone());
    let mut recommender = RecommenderClient::new(channel);
    for n in 0_u64.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        tokio::time::sleep(pause).await;
        let visitor = format!("w{}", random.random_range(0..VISITORS));
        if n % 4 == 0 {
            let kind = ["view", "cart"][random.random_range(0..2)];
            let click = json!({
                "event_id": format!("click-{name}-{n}"), "event_time": Clock::system().now().0,
                "visitor_id": visitor, "kind": kind,
                "item_id": format!("item-{:02}", random.random_range(0..ITEMS)), "category": "c1",
            });
            let payload = click.to_string().into_bytes();
            let event = v1::Event { source: "clickstream".to_owned(), payload };
            let tracked = tracker.track(v1::TrackRequest { events: vec![event] });
            if !matches!(timeout(ANSWER, tracked).await, Ok(Ok(_))) {
                shared.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        let request = v1::RecommendRequest {
            surface: "home".to_owned(),
            visitor_id: visitor,
            k: 10,
            ..Default::default()
        };
        let answer = timeout(ANSWER, recommender.recommend(request)).await;
        let counter = match answer {
            Ok(Ok(_)) => &shared.answered,
            _ => &shared.failed,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is done to whom, in turns.
fn strike(round: u64, kafka: &mut Kafka, redis: &mut Redis, update: &mut Worker) {
    match round % 4 {
        0 => {
            update.kill();
            update.restart();
        }
        1 => kafka.restart(),
        2 => redis.restart(),
        _ => {
            let copy = redis.backup();
            std::thread::sleep(Duration::from_millis(500));
            redis.kill();
            redis.restore(&copy);
            redis.restart();
        }
    }
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn answers_under_faults_are_replayed_without_a_difference() {
    let seed = seed(SEED);
    let (answers, strikes, pause) = dose((300, 4, 50), (100_000, 40, 2));
    let still = ["--auto-aof-rewrite-percentage", "0"];
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let mut kafka = kafka();
    let mut redis = Redis::start_with(&redis_server(), Fsync::Always, &still);
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let (twofold, _) = trained();
    // It tells of another log.
    std::fs::remove_dir_all(twofold.path("twofold-data/archive")).unwrap();
    let settings = std::fs::read_to_string(twofold.path("twofold.toml")).unwrap();
    twofold.file("twofold.toml", &format!("{settings}\n{SETTINGS}"));
    let twofold = Arc::new(twofold);
    let run = |command: &[&str]| twofold.json(&on(&log, &url, command));
    create_topics(&twofold, &log, &url);
    run(&["import", "jsonl", "catalog.jsonl", "--source", "catalog"]);
    run(&["import", "jsonl", "sessions.jsonl"]);
    run(&["update", "--drain"]);
    let address = format!("127.0.0.1:{}", free_port());
    let mut update = Worker::start(&twofold, &on(&log, &url, &["--json", "update"]));
    let serve = on(&log, &url, &["--json", "serve", "--listen", &address]);
    let mut serve = Worker::start(&twofold, &serve);
    let shared = Arc::new(Shared::default());
    let shoppers: Vec<_> = (0..SHOPPERS)
        .map(|name| {
            let (address, pause) = (format!("http://{address}"), Duration::from_millis(pause));
            tokio.spawn(shopper(address, pause, name, seed, Arc::clone(&shared)))
        })
        .collect();
    let answered = |more: u64, update: &mut Worker, serve: &mut Worker| {
        let before = shared.answered.load(Ordering::SeqCst);
        until("answers", || {
            update.supervise();
            serve.supervise();
            shared.answered.load(Ordering::SeqCst) > before + more
        })
    };
    let mut stood = Stood::default();
    for round in 0..strikes {
        let _ = answered(answers / (strikes + 1), &mut update, &mut serve);
        strike(round, &mut kafka, &mut redis, &mut update);
        stood.add(answered(0, &mut update, &mut serve));
    }
    answered(answers / (strikes + 1), &mut update, &mut serve);
    shared.stop.store(true, Ordering::SeqCst);
    shoppers.into_iter().for_each(|shopper| tokio.block_on(shopper).unwrap());
    let ends = (update.ends, serve.ends);
    let said = serve.end();
    update.end();
    let report = run(&["parity"]);
    let live = &report["realms"]["live"];
    let count = |name: &str| said["service"][name].as_u64().unwrap();
    let line = format!(
        "{strikes} faults, {} answers, {} calls failed, updater and service ended {ends:?} times by \
         themselves, skipped {}, {} answers not recorded",
        shared.answered.load(Ordering::SeqCst),
        shared.failed.load(Ordering::SeqCst),
        live["skipped"],
        count("served_overflow") + count("served_failed"),
    );
    let [responses, values, different] =
        ["responses", "values", "mismatched"].map(|name| live[name].to_string());
    let none = || "–".to_owned();
    row("parity", seed, &line, &[responses, values, none(), none(), different], &stood);
    assert_eq!(live["mismatched"], 0, "{report}");
    assert!(live["responses"].as_u64().unwrap() >= answers * 9 / 10, "{report}");
    assert!(live["values"].as_u64().unwrap() > answers, "{report}");
}
