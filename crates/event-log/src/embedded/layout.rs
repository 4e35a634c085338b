//! How topics and records lie in the database.
//!
//! A topic: name → version, number, log id, number of partitions. Under a name that no
//! topic can have: the next number, because a number is never used twice.
//!
//! Records that follow each other in a partition and were written together are one entry, a block: the database
//! works for each entry, when it is written and again whenever tables are merged. Topic number ‖ partition ‖ offset
//! of the first, big-endian so that keys sort as offsets → the records, each append time ‖ key length ‖ value
//! length ‖ key ‖ value. Where the key length's highest bit is set, a trace stands before the key: identity, span,
//! flags, length of its list (2 bytes), list.

use record::{AppendTime, LogId, Offset, Partition, Record, Trace};

use crate::{Error, NewRecord, Topic};

/// 1 had an entry for each record.
const VERSION: u8 = 2;
/// Key of the next topic number.
pub(super) const NEXT_NUMBER: &[u8] = b"\0";
const PREFIX_BYTES: usize = 8;
const RECORD_HEAD_BYTES: usize = 16;
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

pub(super) fn block_key(number: u32, partition: Partition, first: Offset) -> [u8; 16] {
    let mut key = [0; 16];
    key[..PREFIX_BYTES].copy_from_slice(&partition_prefix(number, partition));
    key[PREFIX_BYTES..].copy_from_slice(&first.0.to_be_bytes());
    key
}

/// Adds a record to the end of a block.
pub(super) fn put_record(append_time: AppendTime, record: &NewRecord, block: &mut Vec<u8>) {
    block.reserve(RECORD_HEAD_BYTES + record.key.len() + record.value.len());
    block.extend(append_time.0.to_be_bytes());
    // At most RECORD_BYTES_MAX, which was checked.
    let key_length = record.key.len() as u32;
    let traced = if record.trace.is_some() { TRACED } else { 0 };
    block.extend((key_length | traced).to_be_bytes());
    block.extend((record.value.len() as u32).to_be_bytes());
    if let Some(trace) = &record.trace {
        put_trace(trace, block);
    }
    block.extend(&record.key);
    block.extend(&record.value);
}

/// The records of a block in the partition that its key names, in order.
///
/// # Errors
/// After the records that can be read: what cannot.
pub(super) fn records(key: &[u8], block: &[u8]) -> impl Iterator<Item = Result<Record, Error>> {
    let place = place(key);
    let damaged = || damaged_block(key);
    let mut left = Some(block);
    let mut nth = 0;
    std::iter::from_fn(move || {
        let rest = left.filter(|rest| nth == 0 || !rest.is_empty())?;
        let taken = place.and_then(|(partition, first)| {
            let offset = Offset(first.0.checked_add(nth)?);
            take_record(partition, offset, rest)
        });
        nth += 1;
        left = taken.as_ref().map(|(_, rest)| *rest);
        Some(taken.map(|(record, _)| record).ok_or_else(damaged))
    })
}

/// Partition and first offset of a block.
fn place(key: &[u8]) -> Option<(Partition, Offset)> {
    let (_, rest) = key.split_first_chunk::<4>()?;
    let (partition, first) = rest.split_first_chunk()?;
    let first = u64::from_be_bytes(first.try_into().ok()?);
    Some((Partition(u32::from_be_bytes(*partition)), Offset(first)))
}

fn take_record(partition: Partition, offset: Offset, bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (append_time, rest) = bytes.split_first_chunk()?;
    let (key_length, rest) = rest.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let key_length = u32::from_be_bytes(*key_length);
    let (trace, rest) = match key_length & TRACED {
        0 => (None, rest),
        _ => take_trace(rest).map(|(trace, rest)| (Some(trace), rest))?,
    };
    let (key, rest) = rest.split_at_checked((key_length & !TRACED) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value_length) as usize)?;
    let append_time = AppendTime(i64::from_be_bytes(*append_time));
    let (key, value) = (key.to_owned(), value.to_owned());
    Some((Record { partition, offset, append_time, key, value, trace }, rest))
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

fn damaged_block(key: &[u8]) -> Error {
    Error::Damaged { at: format!("records from {key:02x?}"), what: "not what was written" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_records_and_cut_short_no_others() {
        let trace = Trace { id: [1; 16], span: [2; 8], flags: 1, state: "a=b".to_owned() };
        let record = |key: &str, value: &str, trace: Option<&Trace>| NewRecord {
            key: key.into(),
            value: value.into(),
            trace: trace.cloned().map(Box::new),
        };
        let written =
            [record("k", "v", None), record("", "", Some(&trace)), record("k2", "", None)];
        let (mut block, mut ends) = (Vec::new(), Vec::new());
        for (record, at) in written.iter().zip(10..) {
            put_record(AppendTime(at), record, &mut block);
            ends.push(block.len());
        }
        let key = block_key(3, Partition(2), Offset(40));
        let read = |block: &[u8]| records(&key, block).collect::<Vec<_>>();
        let whole: Vec<Record> = read(&block).into_iter().map(Result::unwrap).collect();
        for (((record, written), offset), at) in whole.iter().zip(&written).zip(40..).zip(10..) {
            assert_eq!((record.partition, record.offset), (Partition(2), Offset(offset)));
            assert_eq!(record.append_time, AppendTime(at));
            assert_eq!((&record.key, &record.value), (&written.key, &written.value));
            assert_eq!(record.trace, written.trace);
        }
        assert_eq!(whole.len(), written.len());
        for length in 0..block.len() {
            let read = read(&block[..length]);
            let good = ends.iter().filter(|end| **end <= length).count();
            let is_whole = ends.contains(&length);
            assert_eq!(read.len(), good + usize::from(!is_whole), "{length} bytes");
            assert!(read[..good].iter().zip(&whole).all(|(a, b)| a.as_ref().ok() == Some(b)));
            assert!(is_whole || matches!(read[good], Err(Error::Damaged { .. })));
        }
        assert!(records(&key[..7], &block).next().unwrap().is_err());
    }
}
