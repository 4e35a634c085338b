//! Value of the last event in the total order whose value is not null.

use arrow::array::Array;
use record::{EventTime, Offset, Partition};

use super::{Cell, Column, Place, Row};
use crate::{
    Error, Value,
    codec::{Reader, put_i64, put_text, put_u64},
    inputs::{Input, Values},
    text::Text,
};

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    place: Place,
    value: Scalar,
}

#[derive(Debug, Clone)]
enum Scalar {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(Text),
}

impl Entry {
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.value {
            Scalar::Text(text) => text.heap_bytes(),
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_) => 0,
        }
    }
}

pub(super) fn fold(input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    match &input.values {
        Values::Int(values) => {
            each(input, rows, *values, &mut column, |at| Scalar::Int(values.value(at)))
        }
        Values::Float(values) => {
            // Expressions give neither NaN nor −0; a sum with 0 keeps −0 out whatever they give.
            each(input, rows, *values, &mut column, |at| Scalar::Float(values.value(at) + 0.0));
        }
        Values::Bool(values) => {
            each(input, rows, *values, &mut column, |at| Scalar::Bool(values.value(at)))
        }
        Values::Text { text, .. } => {
            each(input, rows, *text, &mut column, |at| Scalar::Text(text.value(at).into()));
        }
        Values::Rows => {}
    }
}

fn each(
    input: &Input<'_>,
    rows: &[Row],
    array: &dyn Array,
    column: &mut Column<'_>,
    value: impl Fn(usize) -> Scalar,
) {
    for row in rows {
        let (at, place) = (row.row as usize, column.place(row));
        if input.admits(at)
            && array.is_valid(at)
            && let Cell::Last(last) = column.cell(row)
            && last.as_ref().is_none_or(|last| last.place < place)
        {
            *last = Some(Entry { place, value: value(at) });
        }
    }
}

pub(super) fn merge(mine: &mut Option<Entry>, theirs: &Option<Entry>) {
    if let Some(theirs) = theirs
        && mine.as_ref().is_none_or(|mine| mine.place < theirs.place)
    {
        *mine = Some(theirs.clone());
    }
}

fn visible(last: &Option<Entry>, ttl_us: i64, greatest: EventTime) -> Option<&Entry> {
    last.as_ref().filter(|last| last.place.at >= greatest.plus(ttl_us.saturating_neg()))
}

/// Appends the value and its place. `keys`: keys of counts by the same column, which stand in the
/// state already; a text among them is written as its place there.
pub(super) fn encode(
    last: &Option<Entry>,
    ttl_us: i64,
    keys: &[(Text, u64)],
    greatest: EventTime,
    out: &mut Vec<u8>,
) {
    let Some(Entry { place, value }) = visible(last, ttl_us, greatest) else {
        return out.push(0);
    };
    let tag_at = out.len();
    out.push(0);
    put_u64(out, greatest.0.wrapping_sub(place.at.0) as u64);
    put_u64(out, u64::from(place.partition.0));
    put_u64(out, place.offset.0);
    out[tag_at] = match value {
        Scalar::Int(value) => {
            put_i64(out, *value);
            1
        }
        Scalar::Float(value) => {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
            2
        }
        Scalar::Bool(false) => 3,
        Scalar::Bool(true) => 4,
        Scalar::Text(text) => match keys.binary_search_by(|(key, _)| key.cmp(text)) {
            Ok(place) => {
                put_u64(out, place as u64);
                6
            }
            Err(_) => {
                put_text(out, text.as_bytes());
                5
            }
        },
    };
}

pub(super) fn decode(
    reader: &mut Reader<'_>,
    ttl_us: i64,
    keys: &[(Text, u64)],
    greatest: EventTime,
) -> Result<Option<Entry>, Error> {
    let tag = reader.u8()?;
    if tag == 0 {
        return Ok(None);
    }
    let before = reader.u64()?;
    let at = greatest.0.checked_sub_unsigned(before).map(EventTime);
    let at = at.ok_or_else(|| reader.damaged("a time beyond the range"))?;
    let place = Place { at, partition: get_partition(reader)?, offset: Offset(reader.u64()?) };
    let value = match tag {
        1 => Scalar::Int(reader.i64()?),
        2 => {
            let value = f64::from_bits(u64::from_le_bytes(reader.array()?));
            let canonical = !value.is_nan() && value.to_bits() != (-0.0f64).to_bits();
            reader.ensure(canonical, "a float that is not canonical")?;
            Scalar::Float(value)
        }
        3 => Scalar::Bool(false),
        4 => Scalar::Bool(true),
        5 => {
            let text = Text::from(reader.text()?);
            let told = keys.binary_search_by(|(key, _)| key.cmp(&text)).is_ok();
            reader.ensure(!told, "a text told twice")?;
            Scalar::Text(text)
        }
        6 => {
            let place = usize::try_from(reader.u64()?).unwrap_or(usize::MAX);
            let key = keys.get(place).ok_or_else(|| reader.damaged("no such key"))?;
            Scalar::Text(key.0.clone())
        }
        _ => return Err(reader.damaged("no such kind of value")),
    };
    let last = Some(Entry { place, value });
    reader.ensure(visible(&last, ttl_us, greatest).is_some(), "a value past its TTL")?;
    Ok(last)
}

pub(super) fn read(last: &Option<Entry>, ttl_us: i64, greatest: EventTime) -> Option<Value> {
    Some(match &visible(last, ttl_us, greatest)?.value {
        Scalar::Int(value) => Value::Int(*value),
        Scalar::Float(value) => Value::Float(*value),
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Text(text) => Value::Text(text.as_str().into()),
    })
}

/// Reads a partition.
pub(super) fn get_partition(reader: &mut Reader<'_>) -> Result<Partition, Error> {
    let partition = u32::try_from(reader.u64()?).map(Partition);
    partition.map_err(|_| reader.damaged("a partition of more than 32 bits"))
}
