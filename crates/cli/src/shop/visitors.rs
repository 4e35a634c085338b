//! What visitors do.

use event_log::NewRecord;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::{CATEGORIES, Item, Settings};

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 1_440 * MINUTE_US;

/// A visitor who was there lately, and what she likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shopper {
    pub(crate) id: String,
    /// What she looked at last.
    pub(crate) category: &'static str,
    /// A category that she never looks at.
    pub(crate) other: &'static str,
}

/// The shop's past.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    /// Records of the clickstream in the order in which they arrive.
    pub(crate) events: Vec<NewRecord>,
    pub(crate) shopper: Shopper,
}

struct Visitor {
    /// Cumulative weights of the categories.
    taste: [f64; CATEGORIES.len()],
    favourite: usize,
}

/// Days of sessions, in the order of arrival.
pub(crate) fn simulate(settings: &Settings, items: &[Item]) -> Simulated {
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x5b0b_5eed);
    let visitors: Vec<Visitor> = (0..settings.visitors).map(|_| visitor(&mut random)).collect();
    let mut arrivals: Vec<(i64, NewRecord)> = Vec::new();
    let mut latest: Option<(i64, usize, usize)> = None;
    let mut number = 0u64;
    for session in 0..settings.sessions {
        // Some visitors come often: the square of a uniform number prefers small ones.
        let share: f64 = random.random_range(0.0..1.0);
        let who = ((share * share) * visitors.len() as f64) as usize;
        let mut at_us = random.random_range(settings.start_us()..settings.end_us - 30 * MINUTE_US);
        let mut item: Option<usize> = None;
        loop {
            let next = step(&mut random, settings, &visitors[who], item, at_us);
            number += 1;
            let record = record(&mut random, &items[next], who, session, number, at_us);
            // A little disorder, some copies, and the odd event that comes far too late.
            let late = if random.random_bool(0.001) { 90 * MINUTE_US } else { 0 };
            let arrival = at_us + random.random_range(0..MINUTE_US / 2) + late;
            if random.random_bool(0.01) {
                arrivals.push((arrival + random.random_range(0..MINUTE_US), record.clone()));
            }
            arrivals.push((arrival, record));
            if latest.is_none_or(|(before, ..)| at_us > before) {
                latest = Some((at_us, who, next));
            }
            item = Some(next);
            at_us += random.random_range(8_000_000..150_000_000);
            if at_us >= settings.end_us || random.random_bool(0.18) {
                break;
            }
        }
    }
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    let (who, last) = latest.map_or((0, 0), |(_, who, item)| (who, item));
    let favourite = visitors[who].favourite;
    let shopper = Shopper {
        id: visitor_id(who),
        category: items[last].category,
        other: CATEGORIES[(favourite + CATEGORIES.len() / 2) % CATEGORIES.len()].0,
    };
    Simulated { events: arrivals.into_iter().map(|(_, record)| record).collect(), shopper }
}

fn visitor_id(who: usize) -> String {
    format!("visitor-{who:05}")
}

/// Two categories take most of a visitor's interest; the one opposite to the favourite takes none.
fn visitor(random: &mut ChaCha8Rng) -> Visitor {
    let count = CATEGORIES.len();
    let favourite = random.random_range(0..count);
    let second = (favourite + random.random_range(1..count / 2)) % count;
    let mut sum = 0.0;
    let taste = std::array::from_fn(|category| {
        let distance = (category + count - favourite) % count;
        sum += match category {
            _ if category == favourite => 6.0,
            _ if category == second => 3.0,
            _ if distance == count / 2 => 0.0,
            _ => 0.15,
        };
        sum
    });
    Visitor { taste, favourite }
}

/// The next item: mostly a neighbour of the last one, else a popular one of a category she likes.
fn step(
    random: &mut ChaCha8Rng,
    settings: &Settings,
    visitor: &Visitor,
    last: Option<usize>,
    at_us: i64,
) -> usize {
    let each = settings.items_per_category;
    if let Some(last) = last.filter(|_| random.random_bool(0.75)) {
        let (category, style) = (last / each, last % each);
        let mut distance = 1;
        while random.random_bool(0.45) && distance < each {
            distance += 1;
        }
        let style =
            if random.random_bool(0.6) { style + distance } else { style + each - distance };
        return category * each + style % each;
    }
    let all = visitor.taste[CATEGORIES.len() - 1];
    let drawn = random.random_range(0.0..all);
    let category = visitor.taste.iter().position(|sum| drawn < *sum).unwrap_or(0);
    // Zipf's law by inversion; what is popular moves on by some styles a day.
    let uniform: f64 = random.random_range(0.0..1.0);
    let rank = ((each as f64 + 1.0).powf(uniform) - 1.0) as usize;
    let day = (at_us / DAY_US) as usize;
    category * each + (rank * 17 + day * 3 + category * 11) % each
}

fn record(
    random: &mut ChaCha8Rng,
    item: &Item,
    who: usize,
    session: usize,
    number: u64,
    at_us: i64,
) -> NewRecord {
    let kind = match random.random_range(0..100) {
        0..82 => "view",
        82..90 => "favourite",
        90..97 => "cart",
        _ => "purchase",
    };
    let visitor = visitor_id(who);
    let value = json!({
        "event_id": format!("shop-{number}"),
        "event_time": at_us,
        "visitor_id": visitor,
        "session_id": format!("session-{session}"),
        "kind": kind,
        "item_id": item.id,
        "category": item.category,
        "price_cents": item.price_cents,
        "quantity": 1,
    });
    NewRecord { key: visitor.into_bytes(), value: value.to_string().into_bytes(), trace: None }
}
