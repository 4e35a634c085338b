//! A seeded clickstream in files, as untidy as real ones: copies, late records, times in the future.

use std::fmt::Write as _;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::twofold::Twofold;

const START_US: i64 = 1_700_000_000_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// 2100: further than any clock is wrong.
const FUTURE_US: i64 = 4_102_444_800_000_000;

/// What was imported, so that it can be imported again.
pub(crate) struct Stream {
    random: ChaCha8Rng,
    sent: u64,
    at_us: i64,
    files: Vec<String>,
    /// Records in the log.
    pub(crate) appended: u64,
}

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { random, sent: 0, at_us: START_US, files: Vec::new(), appended: 0 }
    }

    /// Appends about `count` events more.
    pub(crate) fn import(&mut self, twofold: &Twofold, count: u64) {
        let text = self.lines(count);
        self.appended += import(twofold, &text);
        self.files.push(text);
    }

    /// The status of a directory of its own, into which the same was imported and drained in one go.
    pub(crate) fn undisturbed(&self) -> Value {
        let twofold = Twofold::new();
        let appended: u64 = self.files.iter().map(|text| import(&twofold, text)).sum();
        assert_eq!(appended, self.appended);
        twofold.json(&["update", "--drain"]);
        twofold.json(&["status", "--digest"])
    }

    fn lines(&mut self, count: u64) -> String {
        let mut text = String::new();
        for _ in 0..count {
            self.sent += 1;
            self.at_us += self.random.random_range(1..200_000);
            let (sent, random) = (self.sent, &mut self.random);
            let at_us = match random.random_range(0..1000) {
                // The watermark of an earlier file is an hour beyond it.
                0..5 if !self.files.is_empty() => self.at_us - 24 * HOUR_US,
                5..8 => FUTURE_US,
                _ => self.at_us,
            };
            let (visitor, item) = (random.random_range(0..200), random.random_range(0..60));
            let kind = ["view", "view", "cart", "purchase"][random.random_range(0..4)];
            let copies = if random.random_range(0..50) == 0 { 2 } else { 1 };
            for _ in 0..copies {
                writeln!(
                    text,
                    r#"{{"event_id":"e{sent}","event_time":{at_us},"visitor_id":"v{visitor}","kind":"{kind}","item_id":"i{item}","category":"c{}","price_cents":{}}}"#,
                    item % 5,
                    100 + item
                )
                .unwrap();
            }
        }
        text
    }
}

/// The number of events that were appended.
fn import(twofold: &Twofold, text: &str) -> u64 {
    let file = twofold.file("stream.jsonl", text);
    let imported = twofold.json(&["import", "jsonl", file.to_str().unwrap(), "--allow-late"]);
    imported["appended"].as_u64().unwrap()
}
