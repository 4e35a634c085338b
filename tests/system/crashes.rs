//! Death at any moment: what was acknowledged is in the log, and the states are those of a fresh replay.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use embedded::Database;
use embedded::crash::POINTS;
use event_log::EventLog;
use online_store::OnlineStore;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{Offset, Partition};
use serde_json::Value;
use wire::v1;
use wire::v1::tracker_client::TrackerClient;

use crate::twofold::{Running, Twofold, ledger};

/// Seed of the moments; a failure is repeated with the one that it prints.
const SEED: u64 = 20;
const KILLS: usize = 20;
const START_US: i64 = 1_700_000_000_000_000;

/// Sends events until the service dies; remembers which were acknowledged.
struct Shopper {
    sent: u64,
    acknowledged: BTreeSet<String>,
}

impl Shopper {
    fn events(&mut self) -> (Vec<String>, Vec<v1::Event>) {
        let events = (0..10).map(|_| {
            self.sent += 1;
            let (n, id) = (self.sent, format!("event-{}", self.sent));
            let at = START_US + n as i64 * 50_000;
            let payload = format!(
                r#"{{"event_id":"{id}","event_time":{at},"visitor_id":"v{}","kind":"view","item_id":"i{}"}}"#,
                n % 37,
                n % 23
            );
            (id, v1::Event { source: "clickstream".to_owned(), payload: payload.into_bytes() })
        });
        events.unzip()
    }

    /// Until `limit`, or until nobody answers.
    async fn shop(&mut self, address: &str, limit: Duration) {
        let Ok(mut tracker) = TrackerClient::connect(format!("http://{address}")).await else {
            return;
        };
        let shopping = async {
            loop {
                let (ids, events) = self.events();
                let Ok(answer) = tracker.track(v1::TrackRequest { events }).await else { return };
                for (id, status) in ids.into_iter().zip(answer.into_inner().statuses) {
                    if status.code() == v1::track_status::Code::Ok {
                        self.acknowledged.insert(id);
                    }
                }
            }
        };
        let _ = tokio::time::timeout(limit, shopping).await;
    }
}

/// Starts `up`; where it listens, or nothing if it died before.
fn up(twofold: &Twofold, more: &[&str]) -> (Running, Option<String>) {
    let mut running = twofold.start(&[more, &["up", "--listen", "127.0.0.1:0"]].concat());
    let address = running.address();
    (running, address)
}

fn open(directory: &Path) -> (event_log::Embedded, online_store::Embedded) {
    let database = Database::open(directory).unwrap();
    let settings = event_log::Settings {
        clock: std::sync::Arc::new(|| record::AppendTime(0)),
        entropy: std::sync::Arc::new(|| [7; 16]),
    };
    let log = event_log::Embedded::open(&database, settings).unwrap();
    (log, online_store::Embedded::open(&database, online_store::Settings::default()).unwrap())
}

/// Ids of all events in the log.
async fn in_log(directory: &Path) -> Vec<String> {
    let (log, _store) = open(directory);
    let mut ids = Vec::new();
    for partition in 0..log.topic("clickstream").await.unwrap().partitions {
        let mut reader = log.reader("clickstream", Partition(partition), Offset(0)).await.unwrap();
        loop {
            let records = reader.next(4096, Duration::ZERO).await.unwrap();
            if records.is_empty() {
                break;
            }
            ids.extend(records.iter().map(|record| {
                let event: Value = serde_json::from_slice(&record.value).unwrap();
                event["event_id"].as_str().unwrap().to_owned()
            }));
        }
    }
    ids
}

fn digests(status: &Value) -> Vec<String> {
    status["lanes"].as_array().unwrap().iter().map(|lane| lane["digest"].to_string()).collect()
}

/// Drains what is left, forgets every lane and drains the whole log again: the same states.
async fn verify(twofold: &Twofold, shopper: &Shopper, what: &str) {
    twofold.json(&["update", "--drain"]);
    let status = twofold.json(&["status", "--digest"]);
    let directory = twofold.path("twofold-data");
    let ids = in_log(&directory).await;
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), distinct.len(), "{what}: nothing was sent twice");
    for id in &shopper.acknowledged {
        assert!(distinct.contains(id), "{what}: {id} was acknowledged and is not in the log");
    }
    for entity in ["visitor", "item"] {
        assert_eq!(ledger(&status, entity, "read"), ids.len() as u64, "{what}: {status}");
        assert_eq!(ledger(&status, entity, "applied"), ids.len() as u64, "{what}: {status}");
    }
    {
        let (_log, store) = open(&directory);
        for lane in store.lanes().await.unwrap() {
            store.remove(lane).await.unwrap();
        }
    }
    let forgotten = twofold.json(&["status"]);
    assert_eq!(ledger(&forgotten, "visitor", "read"), 0, "{what}: the replay starts from nothing");
    twofold.json(&["update", "--drain"]);
    let fresh = twofold.json(&["status", "--digest"]);
    assert_eq!(digests(&status), digests(&fresh), "{what}: states differ from a fresh replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_random_moments_loses_nothing() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let twofold = Twofold::new();
    let mut shopper = Shopper { sent: 0, acknowledged: BTreeSet::new() };
    let mut replayed = 0;
    for kill in 0..KILLS {
        let (mut running, address) = up(&twofold, &[]);
        let limit = Duration::from_millis(random.random_range(20..300));
        shopper.shop(&address.expect("it starts"), limit).await;
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        let status = twofold.json(&["status"]);
        replayed += ledger(&status, "visitor", "lag") + ledger(&status, "item", "lag");
        if kill % 2 == 0 {
            // The updater alone, killed while it catches up.
            let mut update = twofold.start(&["update"]);
            std::thread::sleep(Duration::from_millis(random.random_range(5..150)));
            update.0.kill().unwrap();
            update.0.wait().unwrap();
        }
    }
    assert!(shopper.acknowledged.len() > 100, "{} acknowledged", shopper.acknowledged.len());
    assert!(replayed > 0, "no kill left anything to replay: this test does not bite");
    verify(&twofold, &shopper, "kill -9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_at_each_named_point_loses_nothing() {
    // What `up` never does: removing lanes, and syncing each commit (its journal is the log's).
    let elsewhere =
        ["state.commit.after_sync", "state.remove.after_mark", "state.remove.before_unmark"];
    for point in POINTS.iter().map(|point| point.name()) {
        let twofold = Twofold::new();
        let mut shopper = Shopper { sent: 0, acknowledged: BTreeSet::new() };
        let nth = if point.starts_with("log.append") { 3 } else { 1 };
        let (mut running, address) = up(&twofold, &["--crash-at", &format!("{point}:{nth}")]);
        if let Some(address) = address {
            shopper.shop(&address, Duration::from_secs(2)).await;
        }
        // An abort takes its time: the pipe is closed before the process is gone.
        let waits = if elsewhere.contains(&point) { 1 } else { 100 };
        let mut gone = false;
        for _ in 0..waits {
            gone = gone || running.0.try_wait().unwrap().is_some();
            if !gone {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        assert_eq!(gone, !elsewhere.contains(&point), "{point}: aborted");
        verify(&twofold, &shopper, point).await;
    }
}
