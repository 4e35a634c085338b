//! A seeded shop: what is appended, with disorder, copies, late, future and broken records.

use event_log::NewRecord;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use record::EventTime;
use serde_json::json;

const MINUTE_US: i64 = 60_000_000;

/// Clickstream records around `now`; `n` numbers their event ids.
pub(crate) fn clicks(
    rng: &mut ChaCha8Rng,
    now: EventTime,
    n: &mut u64,
    count: usize,
) -> Vec<NewRecord> {
    let mut records: Vec<NewRecord> = Vec::with_capacity(count);
    for _ in 0..count {
        let visitor = format!("v{}", rng.random_range(0..25));
        let dice = rng.random_range(0..100);
        if dice < 3 {
            let value = b"{\"event_id\": torn".to_vec();
            records.push(NewRecord { key: visitor.into_bytes(), value, trace: None });
            continue;
        }
        if dice < 9 && !records.is_empty() {
            let copied = records[rng.random_range(0..records.len())].clone();
            records.push(copied);
            continue;
        }
        let age = match dice {
            9..=14 => rng.random_range(15..40) * MINUTE_US,
            15..=17 => -10 * MINUTE_US,
            _ => rng.random_range(-MINUTE_US..3 * MINUTE_US),
        };
        *n += 1;
        let kind =
            ["view", "view", "view", "cart", "favourite", "purchase"][rng.random_range(0..6usize)];
        let value = json!({
            "event_id": format!("e{n}"),
            "event_time": now.0 - age,
            "visitor_id": visitor,
            "kind": kind,
            "item_id": format!("i{}", rng.random_range(0..15)),
            "category": format!("c{}", rng.random_range(0..4)),
            "price_cents": rng.random_range(1..10_000),
            "quantity": rng.random_range(1..4),
        });
        records.push(new(&visitor, &value));
    }
    records
}

/// One view, plain.
pub(crate) fn view(id: &str, visitor: &str, item: &str, at: EventTime) -> NewRecord {
    let value = json!({
        "event_id": id, "event_time": at.0, "visitor_id": visitor, "kind": "view", "item_id": item,
    });
    new(visitor, &value)
}

/// Catalogue records around `now`.
pub(crate) fn catalogue(
    rng: &mut ChaCha8Rng,
    now: EventTime,
    n: &mut u64,
    count: usize,
) -> Vec<NewRecord> {
    let mut record = || {
        *n += 1;
        let item = format!("i{}", rng.random_range(0..18));
        let value = json!({
            "event_id": format!("k{n}"),
            "event_time": now.0 - rng.random_range(0..MINUTE_US),
            "item_id": item,
            "name": format!("Item {n}"),
            "category": format!("c{}", rng.random_range(0..4)),
            "price_cents": rng.random_range(1..10_000),
            "stock": rng.random_range(0..3),
        });
        new(&item, &value)
    };
    (0..count).map(|_| record()).collect()
}

fn new(key: &str, value: &serde_json::Value) -> NewRecord {
    NewRecord { key: key.as_bytes().to_vec(), value: value.to_string().into_bytes(), trace: None }
}
