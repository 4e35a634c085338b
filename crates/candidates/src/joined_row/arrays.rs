//! Arrow arrays out of feature values, by the type that the joined schema declares.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, Int64Builder, MapArray,
    StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields};
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
        DataType::Struct(fields) => match counts(fields) {
            Some(entries) => Arc::new(map(fields, entries, rows, value)),
            None => new_null_array(data_type, rows),
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
        // Copied as a block: entry by entry it would dominate the join.
        DataType::Struct(_) if rows > 0 => {
            let one = column(data_type, 1, |_| value);
            let places = Int32Array::from_value(0, rows);
            take(&one, &places, None).expect("there is a row 0")
        }
        _ => column(data_type, rows, |_| value),
    }
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

/// The entries' field of a map feature's type, `Struct<entries: Map<Utf8, Int64>, complete: Boolean>`.
fn counts(fields: &Fields) -> Option<&Arc<Field>> {
    let [entries, complete] = &fields[..] else { return None };
    match (entries.data_type(), complete.data_type()) {
        (DataType::Map(entry, _), DataType::Boolean) => Some(entry),
        _ => None,
    }
}

/// Counts by text, in the key order that values have. Where there is no value, an empty, incomplete
/// map under a null: absent keys are unknown.
fn map<'a>(
    fields: &Fields,
    entry: &Arc<Field>,
    rows: usize,
    value: impl Fn(usize) -> Option<&'a Value>,
) -> StructArray {
    let DataType::Struct(columns) = entry.data_type() else {
        unreachable!("an Arrow map's entries are structs")
    };
    let (mut keys, mut values) = (StringBuilder::new(), Int64Builder::new());
    let (mut complete, mut valid) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut lengths = Vec::with_capacity(rows);
    for row in 0..rows {
        let map = match value(row) {
            Some(Value::Map { entries, complete }) => Some((entries, *complete)),
            _ => None,
        };
        for (key, count) in map.iter().flat_map(|(entries, _)| entries.iter()) {
            keys.append_value(key);
            values.append_value(*count);
        }
        lengths.push(map.map_or(0, |(entries, _)| entries.len()));
        complete.push(map.is_some_and(|(_, complete)| complete));
        valid.push(map.is_some());
    }
    let entries = StructArray::new(
        columns.clone(),
        vec![Arc::new(keys.finish()), Arc::new(values.finish())],
        None,
    );
    let offsets = OffsetBuffer::from_lengths(lengths);
    let maps = MapArray::new(Arc::clone(entry), offsets, entries, None, false);
    let children: Vec<ArrayRef> = vec![Arc::new(maps), Arc::new(BooleanArray::from(complete))];
    StructArray::new(fields.clone(), children, Some(NullBuffer::from(valid)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use definitions::expression::map_type;

    use super::*;

    fn counts_of(entries: &[(&str, i64)]) -> Value {
        let entries = entries.iter().map(|(key, count)| ((*key).into(), *count)).collect();
        Value::Map { entries, complete: true }
    }

    #[test]
    fn repeated_values_equal_columns_of_the_same_value() {
        let values = [
            (map_type(), counts_of(&[("hats", 2), ("shoes", 5)])),
            (DataType::Utf8, Value::Text("hats".into())),
            (DataType::Int64, Value::Int(7)),
            (DataType::Float64, Value::Float(0.5)),
            (DataType::Boolean, Value::Bool(true)),
        ];
        for (data_type, value) in &values {
            for (rows, value) in [(3, Some(value)), (3, None), (0, Some(value))] {
                let repeated = repeat(data_type, value, rows);
                assert_eq!(&repeated, &column(data_type, rows, |_| value), "{data_type}");
                assert_eq!(repeated.null_count(), if value.is_some() { 0 } else { rows });
            }
        }
    }

    #[test]
    fn maps_keep_their_entries_by_row() {
        let rows = [counts_of(&[("hats", 2)]), Value::Null, counts_of(&[])];
        let array = column(&map_type(), 3, |row| rows.get(row));
        let array = array.as_struct();
        assert_eq!((array.is_null(1), array.null_count()), (true, 1));
        let maps = array.column(0).as_map();
        assert_eq!((maps.value_length(0), maps.value_length(2)), (1, 0));
        assert_eq!(maps.keys().as_string::<i32>().value(0), "hats");
    }
}
