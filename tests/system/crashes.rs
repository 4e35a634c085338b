//! Death of `up` while events flow in through `Track`: what was acknowledged is in the log, and the states
//! are those of a fresh replay.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wire::v1;
use wire::v1::tracker_client::TrackerClient;

use crate::fresh::{assert_accounted, digests, fields, replayed};
use crate::twofold::{Running, Twofold, ledger};

/// Seed of the moments; a failure is repeated with the one that it prints.
const SEED: u64 = 20;
const KILLS: usize = 20;
const START_US: i64 = 1_700_000_000_000_000;

/// Sends events until the service dies; remembers which were acknowledged.
#[derive(Default)]
pub(crate) struct Shopper {
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
    pub(crate) async fn shop(&mut self, address: &str, limit: Duration) {
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

    /// Drains what is left and compares with the log and with a replay of it.
    pub(crate) async fn verify(&self, twofold: &Twofold, what: &str) {
        twofold.json(&["update", "--drain"]);
        let status = twofold.json(&["status", "--digest"]);
        let ids = fields(&twofold.path("twofold-data"), "clickstream", "event_id").await;
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(ids.len(), distinct.len(), "{what}: nothing was sent twice");
        for id in &self.acknowledged {
            assert!(distinct.contains(id), "{what}: {id} was acknowledged and is not in the log");
        }
        assert_accounted(&status, what);
        for entity in ["visitor", "item"] {
            assert_eq!(ledger(&status, entity, "applied"), ids.len() as u64, "{what}: {status}");
        }
        let again = replayed(twofold).await;
        assert_eq!(digests(&status), digests(&again), "{what}: states differ from a fresh replay");
    }
}

/// Starts `up`; where it listens, or nothing if it died before.
pub(crate) fn up(twofold: &Twofold, more: &[&str]) -> (Running, Option<String>) {
    let mut running = twofold.start(&[more, &["up", "--listen", "127.0.0.1:0"]].concat());
    let address = running.address();
    (running, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_up_at_random_moments_loses_nothing() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let twofold = Twofold::new();
    let mut shopper = Shopper::default();
    let mut replayed = 0;
    for _ in 0..KILLS {
        let (mut running, address) = up(&twofold, &[]);
        let limit = Duration::from_millis(random.random_range(20..300));
        shopper.shop(&address.expect("it starts"), limit).await;
        running.kill();
        let status = twofold.json(&["status"]);
        replayed += ledger(&status, "visitor", "lag") + ledger(&status, "item", "lag");
    }
    assert!(shopper.acknowledged.len() > 100, "{} acknowledged", shopper.acknowledged.len());
    assert!(replayed > 0, "no kill left anything to replay: this test does not bite");
    shopper.verify(&twofold, "kill -9").await;
}
