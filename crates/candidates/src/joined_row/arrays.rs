//! Arrow arrays out of feature values, by the type that the joined schema declares.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array, Int64Builder,
    MapArray, MapBuilder, MapFieldNames, StringArray, StringBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use fold::Value;

/// A column of `rows` values; `None` and values of another type are null. Types that no expression
/// can take (sequences, vectors) are null as a whole.
pub(super) fn column<'a>(
    data_type: &DataType,
    rows: usize,
    value: impl Fn(usize) -> Option<&'a Value>,
) -> ArrayRef {
    match data_type {
        DataType::Int64 => {
            Arc::new((0..rows).map(|row| integer(value(row))).collect::<Int64Array>())
        }
        DataType::Float64 => {
            Arc::new((0..rows).map(|row| float(value(row))).collect::<Float64Array>())
        }
        DataType::Boolean => {
            Arc::new((0..rows).map(|row| boolean(value(row))).collect::<BooleanArray>())
        }
        DataType::Utf8 => Arc::new((0..rows).map(|row| text(value(row))).collect::<StringArray>()),
        DataType::Map(entries, _) => Arc::new(map(entries, rows, value)),
        DataType::Dictionary(_, values) => match &**values {
            DataType::Map(entries, _) => {
                let keys = Int32Array::from_iter_values(0..rows as i32);
                dictionary(keys, Arc::new(map(entries, rows, value)))
            }
            _ => new_null_array(data_type, rows),
        },
        _ => new_null_array(data_type, rows),
    }
}

/// A column that says the same in every row.
pub(super) fn repeat(data_type: &DataType, value: Option<&Value>, rows: usize) -> ArrayRef {
    match data_type {
        DataType::Utf8 if rows > 0 => match text(value) {
            Some(text) => Arc::new(StringArray::new_repeated(text, rows)),
            None => new_null_array(data_type, rows),
        },
        // One map that every row points to: repeating its entries would dominate the join.
        DataType::Dictionary(_, values) if rows > 0 => match &**values {
            DataType::Map(entries, _) => {
                let keys = Int32Array::from_value(0, rows);
                dictionary(keys, Arc::new(map(entries, 1, |_| value)))
            }
            _ => new_null_array(data_type, rows),
        },
        _ => column(data_type, rows, |_| value),
    }
}

fn dictionary(keys: Int32Array, values: ArrayRef) -> ArrayRef {
    let array = DictionaryArray::<Int32Type>::try_new(keys, values);
    Arc::new(array.expect("keys lie within the values"))
}

fn integer(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Int(value)) => Some(*value),
        _ => None,
    }
}

fn float(value: Option<&Value>) -> Option<f64> {
    match value {
        Some(Value::Float(value)) => Some(*value),
        Some(Value::Int(value)) => Some(*value as f64),
        _ => None,
    }
}

fn boolean(value: Option<&Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(value)) => Some(*value),
        _ => None,
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(value)) => Some(value),
        _ => None,
    }
}

/// Maps of text to `Int64`, in the key order that values have.
fn map<'a>(
    entries: &Arc<Field>,
    rows: usize,
    value: impl Fn(usize) -> Option<&'a Value>,
) -> MapArray {
    let fields: Vec<&Arc<Field>> = match entries.data_type() {
        DataType::Struct(fields) => fields.iter().collect(),
        _ => Vec::new(),
    };
    let name = |at: usize, otherwise: &str| {
        fields.get(at).map_or(otherwise.to_owned(), |field| field.name().clone())
    };
    let names = MapFieldNames {
        entry: entries.name().clone(),
        key: name(0, "keys"),
        value: name(1, "values"),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), Int64Builder::new());
    if let [key, value] = fields[..] {
        builder = builder.with_keys_field(key.clone()).with_values_field(value.clone());
    }
    for row in 0..rows {
        let present = match value(row) {
            Some(Value::Map { entries, .. }) => {
                for (key, count) in entries {
                    builder.keys().append_value(key);
                    builder.values().append_value(*count);
                }
                true
            }
            _ => false,
        };
        builder.append(present).expect("as many keys as values");
    }
    builder.finish()
}
