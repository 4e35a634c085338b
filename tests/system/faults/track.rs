//! Events come in through `Track` while the process that serves it is killed and the broker goes away.
//! Clients send what was not acknowledged again, under the same ids and times.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use runtime::clock::Clock;
use servers::{Fsync, Redis, free_port};
use tokio::time::timeout;
use wire::v1;
use wire::v1::track_status::Code;
use wire::v1::tracker_client::TrackerClient;

use super::dose::{dose, seed};
use super::events::{Events, Sent};
use super::oracle::compare;
use super::plain::{self, TOPIC};
use super::ride::{directory, kafka, on, redis_server};
use super::stood::{Stood, until};
use super::store::Store;
use super::worker::Worker;

const SEED: u64 = 107;
const CLIENTS: u64 = 8;
/// Events of one call.
const EVENTS: u64 = 10;
/// More than the identities that a visitor may have need.
const VISITORS: u64 = 5_000;
/// A call has its answer by then, whatever is away.
const ANSWER: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// What the process may come to hold.
const MEMORY_KIB_MAX: u64 = 1 << 20;
const SETTINGS: &str = "\
[kafka]
delivery_timeout_ms = 3000

[service]
client_per_s = 100000
";

/// What the clients share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    /// Calls that failed, and events that were answered by an error.
    errors: AtomicU64,
    /// Calls that were not answered in time.
    unanswered: AtomicU64,
}

/// What a client has sent, and what of it was acknowledged.
#[derive(Default)]
struct Told {
    sent: Vec<Sent>,
    acknowledged: HashSet<String>,
}

async fn client(name: u64, address: String, shared: Arc<Shared>) -> Told {
    let mut told = Told::default();
    let mut tracker = None;
    while !shared.stop.load(Ordering::SeqCst) {
        let batch = (0..EVENTS).map(|_| {
            let n = told.sent.len() as u64;
            let visitor = format!("visitor-{}", (n * CLIENTS + name) * 7919 % VISITORS);
            let sent = Sent::view(
                format!("client {name} event {n}"),
                Clock::system().now().0,
                visitor,
                format!("item-{}", n % 97),
            );
            told.sent.push(sent.clone());
            sent
        });
        let mut left: Vec<Sent> = batch.collect();
        while !left.is_empty() {
            tokio::time::sleep(PAUSE).await;
            if tracker.is_none() {
                tracker = TrackerClient::connect(address.clone()).await.ok();
            }
            let Some(connected) = &mut tracker else {
                shared.errors.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            let event = |sent: &Sent| v1::Event {
                source: "clickstream".to_owned(),
                payload: sent.value.clone(),
            };
            let request = v1::TrackRequest { events: left.iter().map(event).collect() };
            match timeout(ANSWER, connected.track(request)).await {
                Err(_) => {
                    shared.unanswered.fetch_add(1, Ordering::SeqCst);
                    tracker = None;
                }
                Ok(Err(_)) => {
                    shared.errors.fetch_add(1, Ordering::SeqCst);
                    tracker = None;
                }
                Ok(Ok(answer)) => {
                    let mut statuses = answer.into_inner().statuses.into_iter();
                    left.retain(|sent| match statuses.next().expect("one per event").code() {
                        Code::Ok => {
                            told.acknowledged.insert(sent.id.clone());
                            shared.acknowledged.fetch_add(1, Ordering::SeqCst);
                            false
                        }
                        Code::Unavailable => {
                            shared.errors.fetch_add(1, Ordering::SeqCst);
                            true
                        }
                        other => panic!("{}: {other:?}", sent.id),
                    });
                }
            }
        }
    }
    told
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn nothing_acknowledged_is_lost_and_nothing_counts_twice() {
    let seed = seed(SEED);
    let (kills, away_s) = dose((3, 5), (100, 30));
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let (mut kafka, redis) = (kafka(), Redis::start(&redis_server(), Fsync::EverySecond));
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let twofold = directory(SETTINGS, &log, &url);
    let address = format!("127.0.0.1:{}", free_port());
    let serve = on(&log, &url, &["--json", "serve", "--listen", &address]);
    let mut worker = Worker::start(&twofold, &serve);
    let shared = Arc::new(Shared::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|name| tokio.spawn(client(name, format!("http://{address}"), Arc::clone(&shared))))
        .collect();
    let (mut stood, mut memory_kib_max) = (Stood::default(), 0);
    let more = |worker: &mut Worker| {
        let before = shared.acknowledged.load(Ordering::SeqCst);
        until("events are taken", || {
            worker.supervise();
            shared.acknowledged.load(Ordering::SeqCst) > before + CLIENTS * EVENTS
        })
    };
    for _ in 0..kills {
        more(&mut worker);
        memory_kib_max = memory_kib_max.max(worker.memory_kib_max());
        worker.kill();
        worker.restart();
        stood.add(more(&mut worker));
    }
    let errors = shared.errors.load(Ordering::SeqCst);
    kafka.kill();
    std::thread::sleep(Duration::from_secs(away_s));
    let away = shared.errors.load(Ordering::SeqCst) - errors;
    kafka.restart();
    stood.add(more(&mut worker));
    more(&mut worker);
    memory_kib_max = memory_kib_max.max(worker.memory_kib_max());
    shared.stop.store(true, Ordering::SeqCst);
    let told: Vec<Told> =
        clients.into_iter().map(|client| tokio.block_on(client).unwrap()).collect();
    assert_eq!(worker.ends, 0, "nothing but kills ends it");
    worker.end();

    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let there: BTreeSet<&[u8]> = found.iter().flatten().map(|found| &*found.value).collect();
    for told in &told {
        for sent in told.sent.iter().filter(|sent| told.acknowledged.contains(&sent.id)) {
            assert!(there.contains(&*sent.value), "{} was acknowledged and is lost", sent.id);
        }
        assert_eq!(told.acknowledged.len(), told.sent.len(), "clients try until they are told");
    }
    let copies = found.iter().map(Vec::len).sum::<usize>() - there.len();
    twofold.json(&on(&log, &url, &["update", "--drain"]));
    let events = Events::of(told.into_iter().flat_map(|told| told.sent).collect());
    let line = format!(
        "{kills} × kill -9 of serve, the broker away for {away_s} s, {} errors ({away} while it was away), {copies} \
         copies in the log, {} MiB at most",
        shared.errors.load(Ordering::SeqCst),
        memory_kib_max >> 10
    );
    compare(&Store::open(&url), &found, &events, true).assert_exact("track", seed, &line, &stood);
    assert_eq!(shared.unanswered.load(Ordering::SeqCst), 0, "calls without an answer");
    assert!(away > 0, "nobody was refused while the broker was away: this does not bite");
    assert!(memory_kib_max < MEMORY_KIB_MAX, "{memory_kib_max} KiB");
}
