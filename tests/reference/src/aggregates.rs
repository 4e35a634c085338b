//! What a feature is worth: over the list of a key's events, each time from the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Admitted, Broken, Event, Seen, Value};
use definitions::{Lane, Operation, Window};

/// Value of a feature over the events of one key, at `t`. `vectors` says what vector an item has, for
/// interest vectors.
///
/// # Panics
/// When columns hold values of other types than the lane's operations take.
pub fn value<E: Event>(
    lane: &Lane,
    feature: usize,
    events: &[Admitted<E>],
    t: i64,
    vectors: &dyn Fn(&str) -> Option<Vec<f32>>,
    broken: Broken,
) -> Value {
    let spec = &lane.features[feature];
    let ttl = lane.groups[spec.group].ttl_us;
    let mut events: Vec<&Admitted<E>> = events.iter().collect();
    if broken.ties_by_arrival_only {
        events.sort_by_key(|seen| (seen.at, std::cmp::Reverse(seen.offset)));
    } else {
        events.sort_by_key(|seen| (seen.at, seen.offset));
    }
    let greatest = events.last().map(|seen| seen.at);
    let slack = i64::from(broken.ttl_includes_less);
    let alive = greatest
        .is_some_and(|g| i128::from(t) <= i128::from(g) + i128::from(ttl) - i128::from(slack));
    let over = match spec.operation {
        Operation::InterestVector { over, .. } => &lane.features[over],
        _ => spec,
    };
    if let Some(filter) = over.filter {
        events.retain(|seen| seen.event.passes(filter));
    }
    if !alive {
        events.clear();
    }
    let over_ttl = lane.groups[over.group].ttl_us;
    let recent = |seen: &&&Admitted<E>| {
        greatest.is_some_and(|g| i128::from(seen.at) >= i128::from(g) - i128::from(over_ttl))
    };
    let sequence = |operation: &Operation| {
        let Operation::Sequence { value, tag, limit } = *operation else { unreachable!() };
        let seen: Vec<Seen> =
            events.iter().filter(recent).filter_map(|seen| entry(seen, value, tag)).collect();
        seen[seen.len().saturating_sub(limit as usize)..].to_vec()
    };
    match &spec.operation {
        Operation::Count { window } => {
            let count = events.iter().filter(|seen| covers(*window, seen.at, t, broken)).count();
            Value::Int(if count == 0 { spec.default.unwrap_or(0.0) as i64 } else { count as i64 })
        }
        Operation::Sum { value, scale, window } => {
            let amounts: Vec<i128> = events
                .iter()
                .filter(|seen| covers(*window, seen.at, t, broken))
                .filter_map(|seen| integer(&seen.event, *value))
                .collect();
            let total = amounts.iter().sum::<i128>() as f64 / 10f64.powi(i32::from(*scale));
            Value::Float(if amounts.is_empty() { spec.default.unwrap_or(0.0) } else { total })
        }
        Operation::Last { value } => {
            let last = events.iter().filter(recent).rev().find_map(|seen| seen.event.value(*value));
            last.or(spec.default.map(Value::Float)).unwrap_or(Value::Null)
        }
        Operation::CountBy { by, limit, window } => {
            let limit = *limit as usize - usize::from(broken.cap_is_one_lower);
            count_by(&events, *by, limit, *window, t, broken)
        }
        Operation::Sequence { .. } => Value::Sequence(sequence(&spec.operation)),
        Operation::DecayedSum { value, scale, half_life_us } => {
            let amount = |event: &E| value.map_or(Some(1), |column| integer(event, column));
            let sum = decayed(&events, &amount, *half_life_us, greatest, t, broken);
            let sum = sum.map(|sum| sum / (2f64.powi(32) * 10f64.powi(i32::from(*scale))));
            Value::Float(sum.unwrap_or(spec.default.unwrap_or(0.0)))
        }
        Operation::InterestVector { half_life_us, .. } => {
            interest(&sequence(&over.operation), *half_life_us, vectors)
        }
    }
}

/// `(floor_hop(t) − window + hop … t]`.
fn covers(window: Window, at: i64, t: i64, broken: Broken) -> bool {
    match window {
        Window::Lifetime => at <= t,
        Window::Sliding { window_us, hop_us } => {
            let (t, hop) = (i128::from(t), i128::from(hop_us));
            let floor = if broken.window_moves_continuously { t } else { t.div_euclid(hop) * hop };
            let start = floor - i128::from(window_us) + hop;
            let at = i128::from(at);
            at <= t && (at > start || (broken.window_holds_its_start && at == start))
        }
    }
}

fn integer(event: &impl Event, column: usize) -> Option<i128> {
    match event.value(column)? {
        Value::Int(amount) => Some(i128::from(amount)),
        other => panic!("column {column} holds {other:?}, no scaled amount"),
    }
}

fn text(event: &impl Event, column: usize) -> Option<Arc<str>> {
    match event.value(column)? {
        Value::Text(text) => Some(text),
        other => panic!("column {column} holds {other:?}, no text"),
    }
}

fn entry<E: Event>(seen: &Admitted<E>, value: usize, tag: Option<usize>) -> Option<Seen> {
    let tag = tag.and_then(|column| text(&seen.event, column)).unwrap_or_default();
    Some(Seen { item: text(&seen.event, value)?, at: seen.at, tag })
}

fn count_by<E: Event>(
    events: &[&Admitted<E>],
    by: usize,
    limit: usize,
    window: Window,
    t: i64,
    broken: Broken,
) -> Value {
    let bucket = |key: &str| blake3::hash(key.as_bytes()).as_bytes()[0] % 64;
    // A tile ends where the window's tail may stand: at a multiple of the hop, closed at its end.
    let tile = |at: i64| match window {
        Window::Lifetime => 0,
        Window::Sliding { hop_us, .. } => -(-i128::from(at)).div_euclid(i128::from(hop_us)),
    };
    let mut keys_by_tile: BTreeMap<i128, BTreeSet<Arc<str>>> = BTreeMap::new();
    let mut totals: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    for seen in events.iter().filter(|seen| covers(window, seen.at, t, broken)) {
        let Some(key) = text(&seen.event, by) else { continue };
        keys_by_tile.entry(tile(seen.at)).or_default().insert(Arc::clone(&key));
        *totals.entry(key).or_default() += 1;
    }
    let full: Vec<_> = keys_by_tile.values().filter(|keys| keys.len() > limit).collect();
    let unknown: BTreeSet<u8> =
        full.iter().flat_map(|keys| keys.iter().map(|key| bucket(key))).collect();
    let entries = totals.into_iter().filter(|(key, _)| !unknown.contains(&bucket(key)));
    Value::Map { entries: entries.collect(), complete: full.is_empty() }
}

/// The sum at `t`, in units of 2^−32 of what a scaled amount is; `None`: nothing is in it.
fn decayed<E: Event>(
    events: &[&Admitted<E>],
    amount: &dyn Fn(&E) -> Option<i128>,
    half_life: i64,
    greatest: Option<i64>,
    t: i64,
    broken: Broken,
) -> Option<f64> {
    let epoch_us = i128::from(half_life) * 8;
    let epoch = |at: i64| i128::from(at).div_euclid(epoch_us);
    let kept = if broken.one_epoch_fewer { 4 } else { 5 };
    let mut sums: BTreeMap<i128, i128> = BTreeMap::new();
    for seen in events.iter().filter(|seen| epoch(seen.at) > epoch(greatest.unwrap_or(0)) - kept) {
        let Some(amount) = amount(&seen.event) else { continue };
        let age = (i128::from(seen.at) - epoch(seen.at) * epoch_us) as f64 / half_life as f64;
        let weight = libm::round(libm::exp2(age) * 2f64.powi(32)) as i128;
        *sums.entry(epoch(seen.at)).or_default() += amount * weight;
    }
    let mut total = 0.0;
    for (epoch, sum) in &sums {
        let age = (i128::from(t) - epoch * epoch_us) as f64 / half_life as f64;
        total += *sum as f64 * libm::exp2(-age);
    }
    (!sums.is_empty()).then_some(total)
}

fn interest(seen: &[Seen], half_life: i64, vectors: &dyn Fn(&str) -> Option<Vec<f32>>) -> Value {
    let Some(newest) = seen.last().map(|seen| seen.at) else { return Value::Null };
    let mut sum: Vec<f64> = Vec::new();
    for (vector, at) in seen.iter().filter_map(|seen| Some((vectors(&seen.item)?, seen.at))) {
        let weight = libm::exp2(-((newest - at) as f64 / half_life as f64));
        sum.resize(vector.len(), 0.0);
        for (sum, component) in sum.iter_mut().zip(vector) {
            *sum += weight * f64::from(component);
        }
    }
    let norm = sum.iter().map(|component| component * component).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Value::Null;
    }
    Value::Vector(sum.iter().map(|component| (component / norm) as f32 + 0.0).collect())
}
