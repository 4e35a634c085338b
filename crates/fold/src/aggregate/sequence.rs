//! The last events in the total order, oldest first.

mod bytes;

pub(super) use bytes::{decode, encode};

use std::collections::VecDeque;

use arrow::array::Array;
use record::EventTime;

use super::{Cell, Column, Place, Row};
use crate::{
    Seen, Value,
    inputs::{Input, Values},
    prefetch::prefetch,
    text::Text,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) item: Text,
    tag: Text,
}

/// Ascending by place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entries(VecDeque<Entry>);

impl Entries {
    fn add(&mut self, limit: usize, place: Place, entry: impl FnOnce() -> Entry) {
        let entries = &mut self.0;
        if entries.back().is_none_or(|last| last.place < place) {
            if entries.len() >= limit {
                entries.pop_front();
            }
            // Room for one: many keys never have a second.
            if entries.capacity() == 0 {
                entries.reserve_exact(1);
            }
            return entries.push_back(entry());
        }
        let at = entries.partition_point(|seen| seen.place < place);
        if at == 0 && entries.len() >= limit {
            return;
        }
        entries.insert(at, entry());
        if entries.len() > limit {
            entries.pop_front();
        }
    }

    /// Entries that the TTL leaves, relative to the key's greatest time.
    pub(crate) fn since(
        &self,
        ttl_us: i64,
        greatest: EventTime,
    ) -> std::collections::vec_deque::Iter<'_, Entry> {
        let oldest = greatest.plus(ttl_us.saturating_neg());
        let first = self.0.partition_point(|entry| entry.place.at < oldest);
        self.0.range(first..)
    }

    /// Asks for what [`Entries::add`] looks at first.
    pub(super) fn prefetch(&self) {
        self.0.back().into_iter().for_each(prefetch);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let texts = self.0.iter().map(|entry| entry.item.heap_bytes() + entry.tag.heap_bytes());
        self.0.capacity() * size_of::<Entry>() + texts.sum::<usize>()
    }
}

pub(super) fn fold(limit: usize, input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    let Values::Text { text, tag } = input.values else { return };
    for row in rows {
        let (at, place) = (row.row as usize, column.place(row));
        if input.admits(at)
            && text.is_valid(at)
            && let Cell::Sequence(entries) = column.cell(row)
        {
            entries.add(limit, place, || Entry {
                place,
                item: text.value(at).into(),
                tag: tag
                    .filter(|tag| tag.is_valid(at))
                    .map_or_else(Text::default, |tag| tag.value(at).into()),
            });
        }
    }
}

pub(super) fn merge(limit: usize, mine: &mut Entries, theirs: &Entries) {
    for entry in &theirs.0 {
        mine.add(limit, entry.place, || entry.clone());
    }
}

pub(super) fn read(entries: &Entries, ttl_us: i64, greatest: EventTime) -> Option<Value> {
    let seen = entries.since(ttl_us, greatest).map(|entry| Seen {
        item: entry.item.as_str().into(),
        at: entry.place.at,
        tag: entry.tag.as_str().into(),
    });
    Some(Value::Sequence(seen.collect()))
}
