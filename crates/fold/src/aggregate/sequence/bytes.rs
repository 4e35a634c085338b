//! The bytes of a sequence, newest entry first: what repeats from entry to entry is not written again.
//!
//! First the number of entries, how the partitions are told and the unit of the times, in one number
//! (0: no entries); then the partition, if it is the same for all. Of each entry:
//! - a byte: the tag's place in the table of tags (high half), which begins with the empty one, and the
//!   form of the item (low half): a text, a number (see [`crate::numbered`]), or how far before this entry
//!   the same item stands
//! - the tag, if it is new to the table
//! - how long before the next newer entry it was; the newest: before the key's greatest time
//! - the partition, if they differ
//! - by how much the offset is more than that of the next newer entry; the newest: the offset
//! - the item's text or number

use std::collections::VecDeque;

use definitions::lane::{BY_BYTES_MAX, ITEM_BYTES_MAX};
use record::{EventTime, Offset, Partition};

use super::{Entries, Entry};
use crate::{
    Error,
    aggregate::{Place, last::get_partition},
    codec::{Reader, put_i64, put_text, put_u64},
    numbered::{Numbered, PLAIN},
    text::Text,
};

/// Microseconds of the units of time: the last one that divides all times between entries.
const UNITS_US: [u64; 3] = [1, 1_000, 1_000_000];
const UNIT_BITS: u32 = 2;
const UNIT_MASK: u64 = (1 << UNIT_BITS) - 1;
const MIXED: u64 = 1 << UNIT_BITS;
const COUNT_SHIFT: u32 = UNIT_BITS + 1;
/// Forms of an item beyond this one: the same as the item that stands so many entries before.
const AGAIN: u8 = PLAIN;
/// Entries that an item may stand back.
const BACK_MAX: usize = 15 - AGAIN as usize;
/// A tag's place that says: not in the table.
const NEW_TAG: usize = 15;

/// The first tags that a sequence has, in the order of their first entries.
struct Tags<'a> {
    seen: [&'a [u8]; NEW_TAG],
    len: usize,
}

impl<'a> Tags<'a> {
    fn new() -> Self {
        Self { seen: [b""; NEW_TAG], len: 1 }
    }

    #[inline]
    fn find(&self, tag: &[u8]) -> Option<usize> {
        self.seen[..self.len].iter().position(|seen| *seen == tag)
    }

    fn add(&mut self, tag: &'a [u8]) {
        if self.len < NEW_TAG {
            self.seen[self.len] = tag;
            self.len += 1;
        }
    }
}

/// The items so far, newest first, to find one again.
struct Items<'a> {
    numbered: Numbered<'a>,
    prints: Vec<u64>,
}

impl Items<'_> {
    fn of(count: usize) -> Self {
        Self { numbered: Numbered::default(), prints: Vec::with_capacity(count) }
    }

    /// Takes in the next item. How many entries ago it was there, if that is near; `same` compares it
    /// with one, by its number.
    #[inline]
    fn back(&mut self, item: &Text, same: impl Fn(usize) -> bool) -> Option<usize> {
        let (print, nth) = (item.print(), self.prints.len());
        let near = nth.saturating_sub(BACK_MAX);
        let found = self.prints[near..].iter().enumerate().rev();
        let mut found = found.filter(|(_, other)| **other == print).map(|(at, _)| near + at);
        let back = found.find(|at| same(*at)).map(|at| nth - at);
        self.prints.push(print);
        back
    }
}

/// Time from an entry to the next newer one.
fn before(after: EventTime, at: EventTime) -> u64 {
    after.0.wrapping_sub(at.0) as u64
}

/// The unit of the times, from each of `newest_first` to the one before; the first: to `greatest`.
fn unit(greatest: EventTime, newest_first: impl Iterator<Item = EventTime> + Clone) -> usize {
    let divides = |unit_us: &u64| {
        let mut after = greatest;
        let mut times = newest_first.clone();
        times.all(|at| before(std::mem::replace(&mut after, at), at).is_multiple_of(*unit_us))
    };
    UNITS_US[1..].iter().take_while(|unit_us| divides(unit_us)).count()
}

pub(crate) fn encode(entries: &Entries, ttl_us: i64, greatest: EventTime, out: &mut Vec<u8>) {
    let visible: Vec<&Entry> = entries.since(ttl_us, greatest).rev().collect();
    let Some(newest) = visible.first() else { return out.push(0) };
    let partition = newest.place.partition;
    let is_mixed = visible.iter().any(|entry| entry.place.partition != partition);
    let unit = unit(greatest, visible.iter().map(|entry| entry.place.at));
    let unit_us = UNITS_US[unit];
    let mixed = if is_mixed { MIXED } else { 0 };
    put_u64(out, (visible.len() as u64) << COUNT_SHIFT | mixed | unit as u64);
    if !is_mixed {
        put_u64(out, u64::from(partition.0));
    }
    let (mut after, mut tags, mut items) = (greatest, Tags::new(), Items::of(visible.len()));
    let mut newer = Offset(0);
    for entry in &visible {
        let item = entry.item.as_bytes();
        let back = items.back(&entry.item, |at| visible[at].item == entry.item);
        let form = match back {
            Some(back) => (AGAIN + back as u8, 0),
            None => items.numbered.form(item),
        };
        let tag = tags.find(entry.tag.as_bytes());
        out.push((tag.unwrap_or(NEW_TAG) << 4) as u8 | form.0);
        if tag.is_none() {
            put_text(out, entry.tag.as_bytes());
            tags.add(entry.tag.as_bytes());
        }
        let micros = before(after, entry.place.at);
        put_u64(out, if unit == 0 { micros } else { micros / unit_us });
        if is_mixed {
            put_u64(out, u64::from(entry.place.partition.0));
        }
        put_i64(out, entry.place.offset.0.wrapping_sub(newer.0) as i64);
        if back.is_none() {
            items.numbered.put(item, form, out);
        }
        (after, newer) = (entry.place.at, entry.place.offset);
    }
}

pub(crate) fn decode(
    limit: usize,
    reader: &mut Reader<'_>,
    ttl_us: i64,
    greatest: EventTime,
) -> Result<Entries, Error> {
    let head = reader.u64()?;
    if head == 0 {
        return Ok(Entries::default());
    }
    let count = usize::try_from(head >> COUNT_SHIFT).unwrap_or(usize::MAX);
    reader.ensure((1..=limit.min(reader.left() / 3)).contains(&count), "so many entries")?;
    let unit_us = UNITS_US.get((head & UNIT_MASK) as usize);
    let unit_us = *unit_us.ok_or_else(|| reader.damaged("no such unit of time"))?;
    let is_mixed = head & MIXED != 0;
    let mut partition = if is_mixed { Partition(0) } else { get_partition(reader)? };
    let (mut after, mut tags, mut items) = (greatest, Tags::new(), Items::of(count));
    let mut scratch = String::new();
    let mut entries: VecDeque<Entry> = VecDeque::with_capacity(count);
    let mut newer = Offset(0);
    for _ in 0..count {
        let byte = reader.u8()?;
        let tag = get_tag(reader, &mut tags, usize::from(byte >> 4))?;
        let before = reader.u64()?.checked_mul(unit_us);
        let at = before.and_then(|before| after.0.checked_sub_unsigned(before)).map(EventTime);
        let at = at.ok_or_else(|| reader.damaged("a time beyond the range"))?;
        if is_mixed {
            partition = get_partition(reader)?;
        }
        let offset = Offset(newer.0.wrapping_add(reader.i64()? as u64));
        let form = byte & 0xf;
        let item = if form > AGAIN {
            let again = entries.get(usize::from(form - AGAIN) - 1);
            again.ok_or_else(|| reader.damaged("no such entry"))?.item.clone()
        } else {
            Text::from(items.numbered.get(reader, form, ITEM_BYTES_MAX, &mut scratch)?)
        };
        let back = items.back(&item, |at| entries[entries.len() - 1 - at].item == item);
        let told = (form > AGAIN).then(|| usize::from(form - AGAIN));
        reader.ensure(back == told, "an item told twice")?;
        let place = Place { at, partition, offset };
        let descending = entries.front().is_none_or(|next| place < next.place);
        reader.ensure(descending, "entries out of order")?;
        entries.push_front(Entry { place, item, tag });
        (after, newer) = (at, offset);
    }
    let first = entries.front().map(|entry| entry.place.partition);
    let is_one = entries.iter().all(|entry| Some(entry.place.partition) == first);
    reader.ensure(is_one != is_mixed, "one partition told as several")?;
    let coarsest = unit(greatest, entries.iter().rev().map(|entry| entry.place.at));
    reader.ensure(UNITS_US[coarsest] == unit_us, "a unit of time that is too fine")?;
    let entries = Entries(entries);
    let visible = entries.since(ttl_us, greatest).len();
    reader.ensure(visible == entries.0.len(), "an entry past its TTL")?;
    Ok(entries)
}

fn get_tag<'a>(reader: &mut Reader<'a>, tags: &mut Tags<'a>, at: usize) -> Result<Text, Error> {
    if at < NEW_TAG {
        reader.ensure(at < tags.len, "no such tag")?;
        let tag = std::str::from_utf8(tags.seen[at]).expect("read as a text");
        return Ok(tag.into());
    }
    let tag = reader.text()?;
    reader.ensure(tag.len() <= BY_BYTES_MAX, "a tag longer than the limit")?;
    reader.ensure(tags.find(tag.as_bytes()).is_none(), "a tag told twice")?;
    tags.add(tag.as_bytes());
    Ok(tag.into())
}
