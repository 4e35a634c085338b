//! The demo shop's definitions and small histories for it.

use std::sync::Arc;

use definitions::Definitions;
use definitions::parse::{File, parse};
use fold::Embedding;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::memory::Memory;

pub(crate) const SECOND_US: i64 = 1_000_000;
pub(crate) const DAY_US: i64 = 86_400 * SECOND_US;
/// 2014-04-01, a day's first microsecond.
pub(crate) const START_US: i64 = 16_161 * DAY_US;
pub(crate) const PARTITIONS: usize = 4;

pub(crate) fn definitions() -> Definitions {
    changed("", |text| text)
}

/// The demo shop's, with more inputs of the model.
pub(crate) fn definitions_with(more_inputs: &str) -> Definitions {
    changed("models/ranker.toml", |text| text + more_inputs)
}

/// The definitions with the text of one file changed.
pub(crate) fn changed(path: &str, change: impl Fn(String) -> String) -> Definitions {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../feature-definitions");
    let paths = [
        "sources/clickstream.toml",
        "sources/catalog.toml",
        "groups/item_attributes.toml",
        "groups/item_popularity.toml",
        "groups/user_activity.toml",
        "groups/user_interest.toml",
        "models/ranker.toml",
    ];
    let file = |of: &str| {
        let text = std::fs::read_to_string(format!("{root}/{of}")).unwrap();
        File { path: of.to_owned(), text: if of == path { change(text) } else { text } }
    };
    parse(&paths.map(file)).unwrap()
}

pub(crate) fn log() -> Memory {
    Memory::new(&["clickstream", "catalog", "served"], PARTITIONS)
}

pub(crate) fn click(
    log: &Memory,
    id: &str,
    visitor: &str,
    item: &str,
    kind: &str,
    at_us: i64,
    append_ms: i64,
) -> (u32, u64) {
    let json = format!(
        r#"{{"event_id":"{id}","event_time":{at_us},"visitor_id":"{visitor}","kind":"{kind}","item_id":"{item}","category":"c{}","price_cents":250}}"#,
        item.len() % 3
    );
    log.put("clickstream", visitor, json.into_bytes(), append_ms)
}

/// Visitors clicking for `days` days, with disorder, duplicates, late events, clocks that run fast and
/// records that are no events.
pub(crate) fn fill(
    log: &Memory,
    seed: u64,
    events: usize,
    visitors: usize,
    items: usize,
    days: i64,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for item in 0..items {
        let json = format!(
            r#"{{"event_id":"k{item}","event_time":{START_US},"item_id":"i{item}","category":"c{}","stock":{}}}"#,
            item % 3,
            item % 7
        );
        log.put("catalog", &format!("i{item}"), json.into_bytes(), START_US / 1000);
    }
    let mut times: Vec<i64> =
        (0..events).map(|_| START_US + rng.random_range(0..days * DAY_US)).collect();
    times.sort_unstable();
    for (n, append_us) in times.into_iter().enumerate() {
        let visitor = format!("v{}", rng.random_range(0..visitors));
        let item = format!("i{}", rng.random_range(0..items).min(rng.random_range(0..items)));
        let kind = ["view", "view", "view", "cart", "purchase"][rng.random_range(0..5)];
        // From an hour late to ten minutes early; whole seconds often, so that times meet.
        let skew = match rng.random_range(0..10) {
            0 => -rng.random_range(0..3_600 * SECOND_US),
            1 => rng.random_range(0..600 * SECOND_US),
            _ => -rng.random_range(0..5 * SECOND_US),
        };
        let at = (append_us + skew) / (SECOND_US * rng.random_range(1..3)) * SECOND_US;
        let at = if at < START_US / 2 + DAY_US { append_us + skew } else { at };
        let again = if rng.random_range(0..8) == 0 { n.saturating_sub(1) } else { n };
        click(log, &format!("e{again}"), &visitor, &item, kind, at, append_us / 1000);
        if rng.random_range(0..12) == 0 {
            click(log, &format!("e{n}"), &visitor, &item, kind, at, append_us / 1000 + 5);
        }
        if rng.random_range(0..30) == 0 {
            log.put("clickstream", &visitor, b"{torn".to_vec(), append_us / 1000);
        }
    }
}

/// Vectors of items by their numbers, of length 4.
pub(crate) struct Vectors(pub(crate) Vec<[f32; 4]>);

impl Vectors {
    pub(crate) fn new(items: usize) -> Arc<Self> {
        let vector = |n: usize| {
            let angle = n as f32;
            let v = [angle.sin(), angle.cos(), 0.5, (2.0 * angle).sin()];
            let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
            v.map(|x| x / length)
        };
        Arc::new(Self((0..items).map(vector).collect()))
    }
}

impl Embedding for Vectors {
    fn digest(&self) -> [u8; 32] {
        [7; 32]
    }

    fn dimension(&self) -> usize {
        4
    }

    fn vector(&self, item: &str) -> Option<&[f32]> {
        let n: usize = item.strip_prefix('i')?.parse().ok()?;
        self.0.get(n).map(<[f32; 4]>::as_slice)
    }
}
