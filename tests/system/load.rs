//! Parity while the item table advances: shoppers click, the catalogue changes and others ask, all at once.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runtime::clock::Clock;
use serde_json::json;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::fresh::records;
use crate::trained::{ITEMS, trained, with};

const SEED: u64 = 5;
const VISITORS: u64 = 30;
/// Calls of each client in a round.
const CALLS: usize = 120;
/// Rounds until the table has moved enough under the answers.
const ROUNDS_MAX: u64 = 10;
/// Versions of the table that answers must have seen.
const VERSIONS_MIN: usize = 5;

fn event(source: &str, payload: &serde_json::Value) -> v1::Event {
    v1::Event { source: source.to_owned(), payload: payload.to_string().into_bytes() }
}

fn item(random: &mut ChaCha8Rng) -> String {
    format!("item-{:02}", random.random_range(0..ITEMS))
}

/// Changes prices and stocks.
async fn restock(address: String, mut random: ChaCha8Rng, round: u64) {
    let mut tracker = TrackerClient::connect(format!("http://{address}")).await.unwrap();
    for call in 0..CALLS {
        let change = json!({
            "event_id": format!("change-{round}-{call}"), "event_time": Clock::system().now().0,
            "item_id": item(&mut random), "category": "c1",
            "price_cents": random.random_range(100..10_000), "stock": random.random_range(1..50),
        });
        track(&mut tracker, vec![event("catalog", &change)]).await;
    }
}

/// Clicks, five at a time.
async fn click(address: String, mut random: ChaCha8Rng, round: u64) {
    let mut tracker = TrackerClient::connect(format!("http://{address}")).await.unwrap();
    for call in 0..CALLS {
        let clicks = (0..5).map(|n| {
            let kind = ["view", "view", "cart", "purchase"][random.random_range(0..4)];
            let click = json!({
                "event_id": format!("click-{round}-{call}-{n}"),
                "event_time": Clock::system().now().0,
                "visitor_id": format!("w{}", random.random_range(0..VISITORS)),
                "kind": kind, "item_id": item(&mut random), "category": "c1", "price_cents": 100,
            });
            event("clickstream", &click)
        });
        let clicks = clicks.collect();
        track(&mut tracker, clicks).await;
    }
}

async fn track(tracker: &mut TrackerClient<tonic::transport::Channel>, events: Vec<v1::Event>) {
    let answer = tracker.track(v1::TrackRequest { events }).await.unwrap().into_inner();
    for status in answer.statuses {
        assert_eq!(status.code(), v1::track_status::Code::Ok, "{}", status.detail);
    }
}

/// Asks; the number of answers that lacked something, which a busy machine may cause.
async fn ask(address: String, mut random: ChaCha8Rng) -> usize {
    let mut recommender = RecommenderClient::connect(format!("http://{address}")).await.unwrap();
    let mut degraded = 0;
    for _ in 0..CALLS {
        let request = v1::RecommendRequest {
            surface: "home".to_owned(),
            visitor_id: format!("w{}", random.random_range(0..VISITORS)),
            k: 10,
            ..Default::default()
        };
        let answer = recommender.recommend(request).await.unwrap().into_inner();
        degraded += usize::from(answer.tier() != v1::Tier::Full);
    }
    degraded
}

/// What the answers saw of the item table.
struct Seen {
    versions: usize,
    /// By item lane: items of which answers saw different features.
    changed: BTreeMap<usize, BTreeSet<String>>,
}

impl Seen {
    fn of(served: &[v1::Served]) -> Self {
        let mut versions = BTreeSet::new();
        let mut rows: BTreeMap<(usize, &str), &[u8]> = BTreeMap::new();
        let mut changed: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for served in served {
            let reads = served.item_table_reads.iter().filter_map(|read| read.position.as_ref());
            let positions: Vec<u64> = reads.map(|position| position.next).collect();
            versions.insert((served.item_table_as_of_us, positions));
            for candidate in &served.candidates {
                for (lane, row) in candidate.item_features.iter().enumerate() {
                    let first = rows.entry((lane, &candidate.item_id)).or_insert(row);
                    if *first != row.as_slice() {
                        changed.entry(lane).or_default().insert(candidate.item_id.clone());
                    }
                }
            }
        }
        Self { versions: versions.len(), changed }
    }

    /// Both lanes, the catalogue's and the shoppers', moved between answers.
    fn enough(&self) -> bool {
        self.versions >= VERSIONS_MIN && self.changed.len() == 2
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_holds_while_the_item_table_advances() {
    println!("seed {SEED}");
    let (twofold, _) = trained();
    let (mut answers, mut degraded) = (0, 0);
    let mut seen = Seen { versions: 0, changed: BTreeMap::new() };
    for round in 0..ROUNDS_MAX {
        let mut up = twofold.start(&with(&["up", "--listen", "127.0.0.1:0"]));
        let address = up.address().unwrap();
        let seeded = |task: u64| ChaCha8Rng::seed_from_u64(SEED + 10 * round + task);
        let tasks = [
            tokio::spawn(restock(address.clone(), seeded(0), round)),
            tokio::spawn(click(address.clone(), seeded(1), round)),
        ];
        let asking = [2, 3].map(|task| tokio::spawn(ask(address.clone(), seeded(task))));
        for task in asking {
            degraded += task.await.unwrap();
            answers += CALLS;
        }
        for task in tasks {
            task.await.unwrap();
        }
        up.terminate();
        let served = records(&twofold.path("twofold-data"), "served").await;
        let served: Vec<v1::Served> =
            served.iter().map(|bytes| v1::Served::decode(bytes.as_slice()).unwrap()).collect();
        assert_eq!(served.len(), answers, "every answer is on record");
        seen = Seen::of(&served);
        if seen.enough() {
            break;
        }
    }
    assert!(seen.enough(), "{} versions, changed by lane: {:?}", seen.versions, seen.changed);
    let parity = twofold.json(&with(&["parity"]));
    assert_eq!(
        (&parity["responses"], &parity["mismatched"]),
        (&answers.into(), &0.into()),
        "{parity}"
    );
    assert!(parity["values"].as_u64().unwrap() > 10_000, "{parity}");
    // Nothing is passed over but what an answer itself said it lacked.
    let reasons = parity["skipped"].as_object().unwrap();
    let lacking = ["degraded_read", "degraded_source", "unscored"];
    assert!(reasons.keys().all(|reason| lacking.contains(&&**reason)), "{parity}");
    assert!(reasons.is_empty() || degraded > 0, "{parity}");
    println!("{answers} answers over {} versions, {degraded} degraded: {parity}", seen.versions);
}
