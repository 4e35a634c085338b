//! The oracle: a naive fold, written from the meaning of the words. A list of events per key, no tiles,
//! no state, nothing forgotten, nothing of `fold` but the types of its answers.

use std::collections::{BTreeMap, BTreeSet};

use definitions::{Lane, Operation, Reason, Window};
use fold::{Seen, Value, Verdict};
use record::EventTime;

use super::fixture::*;

/// Rules that a test may break on purpose, to see that the comparison notices.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Broken {
    pub(super) window_holds_its_start: bool,
    pub(super) window_moves_continuously: bool,
    pub(super) late_at_the_watermark: bool,
    pub(super) copies_count: bool,
    pub(super) ttl_includes_less: bool,
    pub(super) ties_by_arrival_only: bool,
    pub(super) one_epoch_fewer: bool,
    pub(super) cap_is_one_lower: bool,
}

/// An admitted event with its effective time and its offset.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) at: i64,
    pub(super) offset: u64,
    pub(super) event: Event,
}

/// Verdicts in offset order, and the events that count.
pub(super) fn admit(
    events: &[Event],
    broken: Broken,
) -> (Vec<Verdict>, Vec<Admitted>, Option<i64>) {
    let mut watermark: Option<i64> = None;
    let mut admitted: Vec<Admitted> = Vec::new();
    let mut verdicts = Vec::new();
    for (i, event) in events.iter().enumerate() {
        verdicts.push(judge(event, i as u64 * 2, &mut watermark, &mut admitted, broken));
    }
    (verdicts, admitted, watermark)
}

fn judge(
    event: &Event,
    offset: u64,
    watermark: &mut Option<i64>,
    admitted: &mut Vec<Admitted>,
    broken: Broken,
) -> Verdict {
    if let Some(reason) = event.broken {
        return Verdict::DeadLettered(reason);
    }
    let append = i128::from(event.append_ms) * 1000;
    if i128::from(event.sent) > append + i128::from(MAX_FUTURE) {
        return Verdict::DeadLettered(Reason::Future);
    }
    let at = i128::from(event.sent).min(append) as i64;
    let is_late = |mark: i64| if broken.late_at_the_watermark { at <= mark } else { at < mark };
    if watermark.is_some_and(is_late) {
        return Verdict::Late;
    }
    let risen = (i128::from(at) - i128::from(LATENESS)).max(i128::from(i64::MIN)) as i64;
    *watermark = Some(watermark.map_or(risen, |mark| mark.max(risen)));
    let of_key = || admitted.iter().filter(|seen| seen.event.visitor == event.visitor);
    // Nothing is ever forgotten here: what the fold forgets must be late anyway.
    let same = |seen: &&Admitted| seen.event.id == event.id && seen.event.sent == event.sent;
    if !broken.copies_count && of_key().any(|seen| same(&seen)) {
        return Verdict::Duplicate;
    }
    let greatest = of_key().map(|seen| seen.at).max().map_or(at, |greatest| greatest.max(at));
    let oldest = i128::from(greatest) - i128::from(LATENESS);
    if of_key().filter(|seen| i128::from(seen.event.sent) >= oldest).count() >= 4096 {
        return Verdict::DeadLettered(Reason::KeyFlood);
    }
    admitted.push(Admitted { at, offset, event: event.clone() });
    Verdict::Applied
}

/// Value of a feature over the events of one key, at `t`.
pub(super) fn value(
    lane: &Lane,
    feature: usize,
    events: &[Admitted],
    t: i64,
    broken: Broken,
) -> Value {
    let spec = &lane.features[feature];
    let ttl = lane.groups[spec.group].ttl_us;
    let mut events: Vec<&Admitted> = events.iter().collect();
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
    if let Some(IS_VIEW) = over.filter {
        events.retain(|seen| seen.event.kind == "view");
    }
    if !alive {
        events.clear();
    }
    let over_ttl = lane.groups[over.group].ttl_us;
    let recent = |seen: &&&Admitted| {
        greatest.is_some_and(|g| i128::from(seen.at) >= i128::from(g) - i128::from(over_ttl))
    };
    match &spec.operation {
        Operation::Count { window } => {
            let count = events.iter().filter(|seen| covers(*window, seen.at, t, broken)).count();
            Value::Int(if count == 0 { spec.default.unwrap_or(0.0) as i64 } else { count as i64 })
        }
        Operation::Sum { scale, window, .. } => {
            let amounts: Vec<i128> = events
                .iter()
                .filter(|seen| covers(*window, seen.at, t, broken))
                .filter_map(|seen| seen.event.amount.map(i128::from))
                .collect();
            let total = amounts.iter().sum::<i128>() as f64 / 10f64.powi(i32::from(*scale));
            Value::Float(if amounts.is_empty() { spec.default.unwrap_or(0.0) } else { total })
        }
        Operation::Last { value } => {
            let last =
                events.iter().filter(recent).rev().find_map(|seen| scalar(&seen.event, *value));
            last.or(spec.default.map(Value::Float)).unwrap_or(Value::Null)
        }
        Operation::CountBy { limit, window, .. } => count_by(
            &events,
            *limit as usize - usize::from(broken.cap_is_one_lower),
            *window,
            t,
            broken,
        ),
        Operation::Sequence { value, tag, limit } => {
            let seen: Vec<Seen> =
                events.iter().filter(recent).filter_map(|seen| entry(seen, *value, *tag)).collect();
            Value::Sequence(seen[seen.len().saturating_sub(*limit as usize)..].to_vec())
        }
        Operation::DecayedSum { value, scale, half_life_us } => {
            decayed(&events, value.is_some(), *scale, *half_life_us, greatest, t, broken)
                .map_or(Value::Float(spec.default.unwrap_or(0.0)), Value::Float)
        }
        Operation::InterestVector { half_life_us, .. } => {
            let Operation::Sequence { value, tag, limit } = &over.operation else { unreachable!() };
            let seen: Vec<Seen> =
                events.iter().filter(recent).filter_map(|seen| entry(seen, *value, *tag)).collect();
            interest(&seen[seen.len().saturating_sub(*limit as usize)..], *half_life_us)
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

fn scalar(event: &Event, column: usize) -> Option<Value> {
    match column {
        CATEGORY => event.category.as_deref().map(|text| Value::Text(text.into())),
        AMOUNT => event.amount.map(Value::Int),
        RATIO => ratio(event).map(Value::Float),
        IS_BIG => event.amount.map(|amount| Value::Bool(amount > 100)),
        other => unreachable!("column {other} is not a value here"),
    }
}

fn entry(seen: &Admitted, value: usize, tag: Option<usize>) -> Option<Seen> {
    let item =
        if value == ITEM { Some(seen.event.item.as_str()) } else { seen.event.category.as_deref() };
    let tag = if tag.is_some() { seen.event.kind } else { "" };
    Some(Seen { item: item?.into(), at: EventTime(seen.at), tag: tag.into() })
}

fn count_by(events: &[&Admitted], limit: usize, window: Window, t: i64, broken: Broken) -> Value {
    let bucket = |key: &str| blake3::hash(key.as_bytes()).as_bytes()[0] % 64;
    // A tile ends where the window's tail may stand: at a multiple of the hop, closed at its end.
    let tile = |at: i64| match window {
        Window::Lifetime => 0,
        Window::Sliding { hop_us, .. } => -(-i128::from(at)).div_euclid(i128::from(hop_us)),
    };
    let mut keys_by_tile: BTreeMap<i128, BTreeSet<&str>> = BTreeMap::new();
    let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
    for seen in events.iter().filter(|seen| covers(window, seen.at, t, broken)) {
        let Some(key) = seen.event.category.as_deref() else { continue };
        keys_by_tile.entry(tile(seen.at)).or_default().insert(key);
        *totals.entry(key).or_default() += 1;
    }
    let full: Vec<_> = keys_by_tile.values().filter(|keys| keys.len() > limit).collect();
    let unknown: BTreeSet<u8> =
        full.iter().flat_map(|keys| keys.iter().map(|key| bucket(key))).collect();
    let entries = totals.into_iter().filter(|(key, _)| !unknown.contains(&bucket(key)));
    Value::Map {
        entries: entries.map(|(key, count)| (key.into(), count)).collect(),
        complete: full.is_empty(),
    }
}

fn decayed(
    events: &[&Admitted],
    amounts: bool,
    scale: u8,
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
        let Some(amount) = (if amounts { seen.event.amount } else { Some(1) }) else { continue };
        let age = (i128::from(seen.at) - epoch(seen.at) * epoch_us) as f64 / half_life as f64;
        let weight = libm::round(libm::exp2(age) * 2f64.powi(32)) as i128;
        *sums.entry(epoch(seen.at)).or_default() += i128::from(amount) * weight;
    }
    let mut total = 0.0;
    for (epoch, sum) in &sums {
        let age = (i128::from(t) - epoch * epoch_us) as f64 / half_life as f64;
        total += *sum as f64 * libm::exp2(-age);
    }
    (!sums.is_empty()).then(|| total / (2f64.powi(32) * 10f64.powi(i32::from(scale))))
}

/// Vectors of the test's items: every second one is known.
pub(super) fn vector_of(item: &str) -> Option<[f32; 3]> {
    let digit = item.bytes().filter(u8::is_ascii_digit).map(|b| f32::from(b - b'0')).next()?;
    (digit as i32 % 2 == 0).then_some([1.0 - digit, 0.25 * digit, -0.5])
}

fn interest(seen: &[Seen], half_life: i64) -> Value {
    let Some(newest) = seen.last().map(|seen| seen.at.0) else { return Value::Null };
    let mut sum = [0.0f64; 3];
    for (vector, at) in seen.iter().filter_map(|seen| Some((vector_of(&seen.item)?, seen.at.0))) {
        let weight = libm::exp2(-((newest - at) as f64 / half_life as f64));
        (0..3).for_each(|i| sum[i] += weight * f64::from(vector[i]));
    }
    let norm = (sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]).sqrt();
    if norm == 0.0 {
        return Value::Null;
    }
    Value::Vector(sum.iter().map(|component| (component / norm) as f32 + 0.0).collect())
}
