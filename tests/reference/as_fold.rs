//! The oracle's values in the fold's words, to compare the two. No part of the crate, which knows nothing of
//! the fold: who compares includes this file.

use record::EventTime;
use reference::{Seen, Value};

pub(crate) fn value(value: Value) -> fold::Value {
    match value {
        Value::Null => fold::Value::Null,
        Value::Int(value) => fold::Value::Int(value),
        Value::Float(value) => fold::Value::Float(value),
        Value::Bool(value) => fold::Value::Bool(value),
        Value::Text(text) => fold::Value::Text(text),
        Value::Map { entries, complete } => fold::Value::Map { entries, complete },
        Value::Sequence(entries) => fold::Value::Sequence(entries.into_iter().map(seen).collect()),
        Value::Vector(vector) => fold::Value::Vector(vector),
    }
}

fn seen(seen: Seen) -> fold::Seen {
    fold::Seen { item: seen.item, at: EventTime(seen.at), tag: seen.tag }
}
