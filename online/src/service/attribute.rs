//! What is known of an item as one last value, and what such a value may be asked to equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use definitions::{Lane, Operation};
use fold::Value;

/// Attributes of items, by name.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// Where an attribute is, and which values it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute {
    /// Lane in the item table, and feature of that lane.
    pub(super) at: (usize, usize),
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Int,
    Float,
    Bool,
}

/// Those that the items' lanes have.
pub(super) fn of(item_lanes: &[Arc<Lane>]) -> Attributes {
    let mut attributes = Attributes::new();
    for (lane_at, lane) in item_lanes.iter().enumerate() {
        for (at, feature) in lane.features.iter().enumerate() {
            if !matches!(feature.operation, Operation::Last { .. }) {
                continue;
            }
            let kind = match lane.feature_type(feature) {
                DataType::Int64 => Kind::Int,
                DataType::Float64 => Kind::Float,
                DataType::Boolean => Kind::Bool,
                _ => Kind::Text,
            };
            let attribute = Attribute { at: (lane_at, at), kind };
            attributes.entry(feature.name.clone()).or_insert(attribute);
        }
    }
    attributes
}

impl Attribute {
    /// The value that a request's text stands for; `None`: this attribute never has such a one.
    pub(super) fn value(self, text: &str) -> Option<Value> {
        match self.kind {
            Kind::Text => Some(Value::Text(text.into())),
            Kind::Int => text.parse().ok().map(Value::Int),
            Kind::Float => {
                text.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Float)
            }
            Kind::Bool => text.parse().ok().map(Value::Bool),
        }
    }

    /// What [`Attribute::value`] takes, in words.
    pub(super) fn expected(self) -> &'static str {
        match self.kind {
            Kind::Text => "a text",
            Kind::Int => "an int64, such as `42`",
            Kind::Float => "a float64, such as `4.2`",
            Kind::Bool => "`true` or `false`",
        }
    }

    #[cfg(test)]
    pub(super) fn text() -> Self {
        Self { at: (0, 0), kind: Kind::Text }
    }

    #[cfg(test)]
    pub(super) fn int() -> Self {
        Self { at: (0, 0), kind: Kind::Int }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_the_attributes_type() {
        let value = |kind, text| Attribute { at: (0, 0), kind }.value(text);
        assert_eq!(value(Kind::Text, "abc"), Some(Value::Text("abc".into())));
        assert_eq!(value(Kind::Int, "007"), Some(Value::Int(7)));
        assert_eq!(value(Kind::Float, "2.50"), Some(Value::Float(2.5)));
        assert_eq!(value(Kind::Float, "-0"), Some(Value::Float(0.0)), "they are equal");
        assert_eq!(value(Kind::Bool, "false"), Some(Value::Bool(false)));
        for (kind, text) in [
            (Kind::Int, "abc"),
            (Kind::Int, ""),
            (Kind::Int, "1.0"),
            (Kind::Int, "9223372036854775808"),
            (Kind::Float, "NaN"),
            (Kind::Float, "1e999"),
            (Kind::Bool, "True"),
        ] {
            assert_eq!(value(kind, text), None, "{kind:?} {text}");
        }
    }
}
