//! Golden examples of definitions: fold the events, compare the values, say what differs.

use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{Definitions, Example, Expected, Lane};
use record::{LogId, Offset, Partition, Record};

use crate::{EntityState, Head, LanePartition, StateKey, Value, Verdict, read_time};

/// Folds an example's events through its group's lane and compares the values that it expects. What
/// differs comes back, a line each; nothing means that the example holds. A record that is refused is a
/// difference too: an example that silently folds nothing would explain nothing.
#[must_use]
pub fn differences(definitions: &Definitions, example: &Example) -> Vec<String> {
    let lanes = definitions.lanes();
    let found = lanes.iter().find_map(|lane| {
        let group = lane.groups.iter().position(|group| group.name == example.group)?;
        Some((lane, group))
    });
    let Some((lane, group)) = found else {
        return vec![format!("there is no group `{}`", example.group)];
    };
    let (values, mut differences) = fold(lane, example);
    for (name, expected) in &example.expected {
        let index = lane.features.iter().position(|f| f.group == group && f.name == *name);
        match index.map(|index| &values[index]) {
            Some(value) if matches(value, expected) => {}
            Some(value) => {
                differences.push(format!("`{name}` is {}; expected {expected}", shown(value)));
            }
            None => differences.push(format!("there is no feature `{name}`")),
        }
    }
    differences
}

/// The lane's values at the example's key and time, and the records that were refused.
fn fold(lane: &Arc<Lane>, example: &Example) -> (Vec<Value>, Vec<String>) {
    let partition = Partition(0);
    let records: Vec<Record> = example
        .events
        .iter()
        .enumerate()
        .map(|(offset, event)| Record {
            partition,
            offset: Offset(offset as u64),
            append_time: event.append_time,
            key: event.key.clone().into_bytes(),
            value: event.json.clone().into_bytes(),
            trace: None,
        })
        .collect();
    let batch = Decoder::new(Arc::clone(&lane.source), partition, 1).decode(&records);
    let columns = lane.evaluate(&batch);
    let mut state = LanePartition::new(Arc::clone(lane), partition, Head::start(LogId([0; 16])));
    let refused = state
        .apply(&batch, &columns)
        .into_iter()
        .filter_map(|(row, verdict)| match verdict {
            Verdict::DeadLettered(reason) => {
                let all = batch.rejections.iter().chain(&columns.rejections);
                let detail = all.filter(|r| r.row == row).map(|r| format!(": {}", r.detail));
                let detail: String = detail.collect();
                Some(format!("event {} is refused, {}{detail}", row + 1, reason.as_str()))
            }
            _ => None,
        })
        .collect();
    let entity = match state.state(&StateKey::entity(lane, &example.key)) {
        Some(bytes) => {
            EntityState::decode(lane, &bytes).expect("bytes that this lane encoded just now")
        }
        None => EntityState::empty(lane),
    };
    let at = read_time(example.as_of, &entity, [state.head().watermark]);
    (entity.values(lane, at, None), refused)
}

/// As an example would write it.
fn shown(value: &Value) -> String {
    let value = match value {
        Value::Null => Expected::Null,
        Value::Int(value) => Expected::Int(*value),
        Value::Float(value) => Expected::Float(*value),
        Value::Bool(value) => Expected::Bool(*value),
        Value::Text(value) => Expected::Text(value.to_string()),
        Value::Map { entries, complete } => {
            let entries = entries.iter().map(|(key, count)| (key.to_string(), *count)).collect();
            Expected::Map { entries, complete: *complete }
        }
        Value::Sequence(seen) => Expected::Sequence(
            seen.iter().map(|s| (s.item.to_string(), s.at, s.tag.to_string())).collect(),
        ),
        Value::Vector(elements) => return format!("a vector of {} elements", elements.len()),
    };
    value.to_string()
}

fn matches(value: &Value, expected: &Expected) -> bool {
    match (value, expected) {
        (Value::Null, Expected::Null) => true,
        (Value::Int(found), Expected::Int(expected)) => found == expected,
        (Value::Float(found), Expected::Float(expected)) => found.to_bits() == expected.to_bits(),
        // TOML writes 5 for 5.0.
        (Value::Float(found), Expected::Int(expected)) => *found == *expected as f64,
        (Value::Bool(found), Expected::Bool(expected)) => found == expected,
        (Value::Text(found), Expected::Text(expected)) => **found == **expected,
        (
            Value::Map { entries: found, complete: found_complete },
            Expected::Map { entries, complete },
        ) => {
            let same = |((a, n), (b, m)): (&(Arc<str>, i64), &(String, i64))| **a == **b && n == m;
            found_complete == complete
                && found.len() == entries.len()
                && found.iter().zip(entries).all(same)
        }
        (Value::Sequence(found), Expected::Sequence(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(seen, (item, at, tag))| {
                    *seen.item == **item && seen.at == *at && *seen.tag == **tag
                })
        }
        _ => false,
    }
}
