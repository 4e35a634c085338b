//! How topics and records lie in the database.
//!
//! A topic: name → version, number, log id, number of partitions. Under a name that no
//! topic can have: the next number, because a number is never used twice. A record: topic number ‖
//! partition ‖ offset, big-endian so that keys sort as offsets → append time ‖ key length ‖ key ‖
//! value. Where the length's highest bit is set, a trace stands before the key: identity, span, flags, length
//! of its list (2 bytes), list. A program that knows nothing of traces finds such a length beyond the value
//! and refuses the record; those without a trace are as they always were.

use record::{AppendTime, LogId, Offset, Partition, Record, Trace};

use crate::{Error, NewRecord, Topic};

const VERSION: u8 = 1;
/// Key of the next topic number.
pub(super) const NEXT_NUMBER: &[u8] = b"\0";
const PREFIX_BYTES: usize = 8;
const RECORD_HEAD_BYTES: usize = 12;
/// In a key's length: a trace stands before the key.
const TRACED: u32 = 1 << 31;

pub(super) fn topic_value(number: u32, topic: Topic) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend(number.to_be_bytes());
    value.extend(topic.log.0);
    value.extend(topic.partitions.to_be_bytes());
    value
}

pub(super) fn topic_from_value(name: &str, value: &[u8]) -> Result<(u32, Topic), Error> {
    let damaged = |what| Error::Damaged { at: format!("topic {name}"), what };
    let (version, rest) = value.split_first().ok_or_else(|| damaged("empty"))?;
    if *version != VERSION {
        return Err(damaged("written by another version"));
    }
    let (number, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    let (log, rest) = rest.split_first_chunk().ok_or_else(|| damaged("too short"))?;
    let partitions = rest.try_into().map_err(|_| damaged("of a wrong length"))?;
    let topic = Topic { log: LogId(*log), partitions: u32::from_be_bytes(partitions) };
    Ok((u32::from_be_bytes(*number), topic))
}

pub(super) fn partition_prefix(number: u32, partition: Partition) -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..4].copy_from_slice(&number.to_be_bytes());
    prefix[4..].copy_from_slice(&partition.0.to_be_bytes());
    prefix
}

pub(super) fn record_key(number: u32, partition: Partition, offset: Offset) -> [u8; 16] {
    let mut key = [0; 16];
    key[..PREFIX_BYTES].copy_from_slice(&partition_prefix(number, partition));
    key[PREFIX_BYTES..].copy_from_slice(&offset.0.to_be_bytes());
    key
}

pub(super) fn offset_from_key(key: &[u8]) -> Result<Offset, Error> {
    key.get(PREFIX_BYTES..)
        .and_then(|offset| offset.try_into().ok())
        .map(|offset| Offset(u64::from_be_bytes(offset)))
        .ok_or_else(|| damaged_record(key, "key of a wrong length"))
}

pub(super) fn record_value(append_time: AppendTime, record: &NewRecord) -> Vec<u8> {
    let mut value = Vec::with_capacity(RECORD_HEAD_BYTES + record.key.len() + record.value.len());
    value.extend(append_time.0.to_be_bytes());
    // At most RECORD_BYTES_MAX, which was checked.
    let length = record.key.len() as u32;
    match &record.trace {
        None => value.extend(length.to_be_bytes()),
        Some(trace) => {
            value.extend((length | TRACED).to_be_bytes());
            put_trace(trace, &mut value);
        }
    }
    value.extend(&record.key);
    value.extend(&record.value);
    value
}

pub(super) fn append_time_from_value(key: &[u8], value: &[u8]) -> Result<AppendTime, Error> {
    let time = value.first_chunk().ok_or_else(|| damaged_record(key, "too short"))?;
    Ok(AppendTime(i64::from_be_bytes(*time)))
}

pub(super) fn record(partition: Partition, key: &[u8], value: &[u8]) -> Result<Record, Error> {
    let append_time = append_time_from_value(key, value)?;
    let short = || damaged_record(key, "too short");
    let length = value.get(8..RECORD_HEAD_BYTES).ok_or_else(short)?;
    let length = u32::from_be_bytes(length.try_into().expect("a range of 4 bytes"));
    let rest = &value[RECORD_HEAD_BYTES..];
    let (trace, rest) = match length & TRACED {
        0 => (None, rest),
        _ => take_trace(rest).map(|(trace, rest)| (Some(trace), rest)).ok_or_else(short)?,
    };
    let length = (length & !TRACED) as usize;
    let (stream_key, payload) = rest.split_at_checked(length).ok_or_else(short)?;
    Ok(Record {
        partition,
        offset: offset_from_key(key)?,
        append_time,
        key: stream_key.to_owned(),
        value: payload.to_owned(),
        trace,
    })
}

fn put_trace(trace: &Trace, value: &mut Vec<u8>) {
    value.extend(trace.id);
    value.extend(trace.span);
    value.push(trace.flags);
    // A list as `Trace::parse` leaves it is much shorter than that.
    let length = u16::try_from(trace.state.len()).unwrap_or(0);
    value.extend(length.to_be_bytes());
    value.extend(&trace.state.as_bytes()[..length.into()]);
}

fn take_trace(bytes: &[u8]) -> Option<(Box<Trace>, &[u8])> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (span, rest) = rest.split_first_chunk()?;
    let (flags, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (state, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let state = String::from_utf8(state.to_owned()).ok()?;
    Some((Box::new(Trace { id: *id, span: *span, flags: *flags, state }), rest))
}

fn damaged_record(key: &[u8], what: &'static str) -> Error {
    Error::Damaged { at: format!("record {key:02x?}"), what }
}
