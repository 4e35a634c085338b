//! `map[key]`: the count under a key of a map feature.

use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, Int64Builder, StringArray};
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// Field of a map feature that holds the entries, sorted by key.
pub const MAP_ENTRIES: &str = "entries";
/// Field of a map feature that says whether an absent key means zero.
pub const MAP_COMPLETE: &str = "complete";

/// The Arrow type of a map feature: `Struct<entries: Map<Utf8, Int64>, complete: Boolean>`. A struct,
/// because an Arrow map alone cannot say that keys are missing from it.
#[must_use]
pub fn map_type() -> DataType {
    let entry = DataType::Struct(Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Int64, true),
    ]));
    let entries = DataType::Map(Arc::new(Field::new("entries", entry, false)), false);
    DataType::Struct(Fields::from(vec![
        Field::new(MAP_ENTRIES, entries, false),
        Field::new(MAP_COMPLETE, DataType::Boolean, false),
    ]))
}

/// 0 where the key is absent and the map complete; null where it is incomplete, or key or map is null.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct MapLookup {
    signature: Signature,
}

impl MapLookup {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::exact(vec![map_type(), DataType::Utf8], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for MapLookup {
    fn name(&self) -> &str {
        "map_lookup"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [map, key] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("map_lookup takes a map and a key"));
        };
        let map = map.to_array(args.number_rows)?;
        match key {
            ColumnarValue::Scalar(ScalarValue::Utf8(key)) => {
                Ok(ColumnarValue::Array(Arc::new(look_up(&map, |_| key.as_deref())?)))
            }
            other => {
                let keys = other.to_array(args.number_rows)?;
                let keys = keys
                    .as_any()
                    .downcast_ref::<StringArray>()
                    .ok_or_else(|| exec_datafusion_err!("a map's key must be text"))?;
                let key = |row| keys.is_valid(row).then(|| keys.value(row));
                Ok(ColumnarValue::Array(Arc::new(look_up(&map, key)?)))
            }
        }
    }
}

fn look_up<'k>(map: &dyn Array, key: impl Fn(usize) -> Option<&'k str>) -> Result<Int64Array> {
    let damaged = || exec_datafusion_err!("a map feature has another Arrow type than expected");
    let features = map.as_struct_opt().ok_or_else(damaged)?;
    let entries =
        features.column_by_name(MAP_ENTRIES).and_then(|a| a.as_map_opt()).ok_or_else(damaged)?;
    let complete = features
        .column_by_name(MAP_COMPLETE)
        .and_then(|a| a.as_boolean_opt())
        .ok_or_else(damaged)?;
    let keys = entries.keys().as_string_opt::<i32>().ok_or_else(damaged)?;
    let counts = entries.values().as_primitive_opt::<Int64Type>().ok_or_else(damaged)?;
    let mut out = Int64Builder::with_capacity(map.len());
    for row in 0..map.len() {
        let found = match key(row) {
            Some(key) if features.is_valid(row) => {
                let offsets = entries.value_offsets();
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let at = (start..end).find(|entry| keys.value(*entry) == key);
                match at {
                    Some(entry) => counts.is_valid(entry).then(|| counts.value(entry)),
                    None => complete.value(row).then_some(0),
                }
            }
            _ => None,
        };
        out.append_option(found);
    }
    Ok(out.finish())
}
