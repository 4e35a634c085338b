//! Feature values as messages.

use fold::{Seen, Value};
use wire::v1;
use wire::v1::feature_value::Value as Wire;

/// A value; nothing where there is none.
pub(super) fn feature_value(value: &Value) -> v1::FeatureValue {
    let value = match value {
        Value::Null => None,
        Value::Int(value) => Some(Wire::IntValue(*value)),
        Value::Float(value) => Some(Wire::FloatValue(*value)),
        Value::Bool(value) => Some(Wire::BoolValue(*value)),
        Value::Text(value) => Some(Wire::TextValue(value.to_string())),
        Value::Map { entries, complete } => {
            let entry =
                |(key, count): &(_, i64)| v1::count_map::Entry { key: text(key), count: *count };
            let entries = entries.iter().map(entry).collect();
            Some(Wire::MapValue(v1::CountMap { entries, complete: *complete }))
        }
        Value::Sequence(seen) => {
            let seen = seen.iter().map(|Seen { item, at, tag }| v1::sequence::Seen {
                item: text(item),
                at_us: at.0,
                tag: text(tag),
            });
            Some(Wire::SequenceValue(v1::Sequence { seen: seen.collect() }))
        }
        Value::Vector(elements) => {
            Some(Wire::VectorValue(v1::Vector { elements: elements.clone() }))
        }
    };
    v1::FeatureValue { value }
}

fn text(text: &std::sync::Arc<str>) -> String {
    text.to_string()
}
