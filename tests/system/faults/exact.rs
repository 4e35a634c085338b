//! A stream with everything in it, and no fault at all: what comes out is exact, and the same on both pairs
//! of log and store.

use servers::{Fsync, Redis};

use super::dose::{dose, seed};
use super::events::Events;
use super::oracle::compare;
use super::plain::{self, Producer, TOPIC};
use super::ride::{directory, kafka, on, redis_server};
use super::stood::Stood;
use super::store::Store;
use crate::fresh::{append, assert_accounted, digests};
use crate::twofold::Twofold;

const SEED: u64 = 101;

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn a_stream_with_everything_in_it_is_exact_on_both_pairs() {
    let seed = seed(SEED);
    let count = dose(20_000, 1_000_000);
    let (kafka, redis) = (kafka(), Redis::start(&redis_server(), Fsync::Always));
    let (log, store) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let twofold = directory("", &log, &store);
    let mut events = Events::new(seed, count);
    let producer = Producer::new(&kafka.bootstrap());
    producer.send(events.make(count));
    producer.flush();
    twofold.json(&on(&log, &store, &["update", "--drain"]));

    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let outcome =
        compare(&Store::open(&store), &found, &events, false).with_letters(&kafka.bootstrap());
    outcome.assert_exact("exact", seed, &format!("{count} events"), &Stood::default());

    let status = twofold.json(&on(&log, &store, &["status", "--digest"]));
    assert_accounted(&status, "on servers");
    // Event times lie years back, so the times of the appends say nothing.
    let embedded = Twofold::new();
    embedded.json(&["topics", "create"]);
    let records = found.into_iter().flatten().map(|found| (found.key, found.value));
    append(&embedded.path("twofold-data"), TOPIC, records.collect());
    embedded.json(&["update", "--drain"]);
    let here = embedded.json(&["status", "--digest"]);
    assert_eq!(digests(&status), digests(&here), "{status}\n{here}");
}
