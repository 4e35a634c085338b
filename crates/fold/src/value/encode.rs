//! Bytes of values: what parity compares.

use record::EventTime;

use super::{Seen, Value};
use crate::{
    Error,
    codec::{Reader, put_i64, put_text, put_u64},
};

/// Canonical bytes of a row of values: equal values have equal bytes, and only they do.
#[must_use]
pub fn encode_values(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.len() * 4);
    put_u64(&mut out, values.len() as u64);
    values.iter().for_each(|value| encode_value(value, &mut out));
    out
}

fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0),
        Value::Int(value) => {
            out.push(1);
            put_i64(out, *value);
        }
        Value::Float(value) => {
            out.push(2);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Value::Bool(value) => out.extend_from_slice(&[3, u8::from(*value)]),
        Value::Text(text) => {
            out.push(4);
            put_text(out, text.as_bytes());
        }
        Value::Map { entries, complete } => {
            out.extend_from_slice(&[5, u8::from(*complete)]);
            put_u64(out, entries.len() as u64);
            for (key, count) in entries {
                put_text(out, key.as_bytes());
                put_i64(out, *count);
            }
        }
        Value::Sequence(seen) => {
            out.push(6);
            put_u64(out, seen.len() as u64);
            for Seen { item, at, tag } in seen {
                put_text(out, item.as_bytes());
                put_i64(out, at.0);
                put_text(out, tag.as_bytes());
            }
        }
        Value::Vector(components) => {
            out.push(7);
            put_u64(out, components.len() as u64);
            components
                .iter()
                .for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
        }
    }
}

/// Reads [`encode_values`]'s bytes back, so that a difference can be shown to a person.
///
/// # Errors
/// Damaged bytes.
pub fn decode_values(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::new(bytes);
    let count = reader.length(1)?;
    let values = (0..count).map(|_| decode_value(&mut reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(values)
}

fn decode_value(reader: &mut Reader<'_>) -> Result<Value, Error> {
    Ok(match reader.u8()? {
        0 => Value::Null,
        1 => Value::Int(reader.i64()?),
        2 => Value::Float(f64::from_bits(u64::from_le_bytes(reader.array()?))),
        3 => Value::Bool(decode_bool(reader)?),
        4 => Value::Text(reader.text()?.into()),
        5 => {
            let complete = decode_bool(reader)?;
            let count = reader.length(2)?;
            let entry = |_| Ok((reader.text()?.into(), reader.i64()?));
            Value::Map { entries: (0..count).map(entry).collect::<Result<_, Error>>()?, complete }
        }
        6 => {
            let count = reader.length(3)?;
            let seen = |_| {
                let item = reader.text()?.into();
                let at = EventTime(reader.i64()?);
                Ok(Seen { item, at, tag: reader.text()?.into() })
            };
            Value::Sequence((0..count).map(seen).collect::<Result<_, Error>>()?)
        }
        7 => {
            let count = reader.length(4)?;
            let component = |_| Ok(f32::from_bits(u32::from_le_bytes(reader.array()?)));
            Value::Vector((0..count).map(component).collect::<Result<_, Error>>()?)
        }
        _ => return Err(reader.damaged("no such kind of value")),
    })
}

fn decode_bool(reader: &mut Reader<'_>) -> Result<bool, Error> {
    let byte = reader.u8()?;
    reader.ensure(byte <= 1, "neither true nor false")?;
    Ok(byte == 1)
}
