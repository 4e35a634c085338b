//! Rows per key, per tile: exact up to a number of keys, then a fixed number of hash buckets. Which of
//! the two a tile is depends on its set of keys only.

mod bytes;

pub(super) use bytes::{decode, encode};

use arrow::array::Array;
pub use definitions::lane::BUCKETS;
use record::EventTime;

use super::{Cell, Column, Row};
use crate::{
    Value,
    inputs::{Input, Values},
    prefetch::prefetch,
    text::Text,
    tiles::{TileCursor, Tiles, Tiling},
};

const FEW: usize = 8;

#[derive(Debug, Clone)]
pub(crate) enum Counts {
    /// Ascending by key; no longer than it is, as nearly all are short and stay so.
    Exact(Box<[(Text, u64)]>),
    /// Counts by [`bucket`].
    Buckets(Box<[u64; BUCKETS]>),
}

impl Default for Counts {
    fn default() -> Self {
        Self::Exact(Box::default())
    }
}

/// The bucket of a key: part of the meaning of a state, hence a hash that is the same everywhere.
fn bucket(key: &[u8]) -> usize {
    usize::from(blake3::hash(key).as_bytes()[0]) % BUCKETS
}

impl Counts {
    fn add(&mut self, key: &Text, count: u64, limit: usize) {
        match self {
            Self::Exact(entries) => {
                // Nearly every tile has a few keys, and equal is quicker found than less.
                let few = entries.len().min(FEW);
                if let Some(entry) = entries[..few].iter_mut().find(|entry| entry.0 == *key) {
                    entry.1 = entry.1.wrapping_add(count);
                    return;
                }
                match entries.binary_search_by(|entry| entry.0.cmp(key)) {
                    Ok(place) => entries[place].1 = entries[place].1.wrapping_add(count),
                    Err(place) if entries.len() < limit => {
                        let mut longer = std::mem::take(entries).into_vec();
                        longer.reserve_exact(1);
                        longer.insert(place, (key.clone(), count));
                        *entries = longer.into_boxed_slice();
                    }
                    Err(_) => {
                        *self = Self::Buckets(self.buckets());
                        self.add(key, count, limit);
                    }
                }
            }
            Self::Buckets(buckets) => {
                let total = &mut buckets[bucket(key.as_bytes())];
                *total = total.wrapping_add(count);
            }
        }
    }

    fn buckets(&self) -> Box<[u64; BUCKETS]> {
        match self {
            Self::Buckets(buckets) => buckets.clone(),
            Self::Exact(entries) => {
                let mut buckets = Box::new([0u64; BUCKETS]);
                for (key, count) in entries {
                    let total = &mut buckets[bucket(key.as_bytes())];
                    *total = total.wrapping_add(*count);
                }
                buckets
            }
        }
    }

    fn merge(&mut self, other: &Self, limit: usize) {
        match other {
            Self::Exact(entries) => {
                for (key, count) in entries {
                    self.add(key, *count, limit);
                }
            }
            Self::Buckets(theirs) => {
                let mut mine = self.buckets();
                for (total, count) in mine.iter_mut().zip(theirs.iter()) {
                    *total = total.wrapping_add(*count);
                }
                *self = Self::Buckets(mine);
            }
        }
    }

    /// Asks for what [`Counts::add`] looks at first.
    pub(super) fn prefetch(&self) {
        match self {
            Self::Exact(entries) => entries.iter().take(FEW).for_each(prefetch),
            Self::Buckets(buckets) => prefetch(buckets.as_ref()),
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Exact(entries) => {
                let texts = entries.iter().map(|entry| entry.0.heap_bytes()).sum::<usize>();
                entries.len() * size_of::<(Text, u64)>() + texts
            }
            Self::Buckets(_) => BUCKETS * 8,
        }
    }
}

pub(super) fn fold(
    limit: usize,
    tiling: Tiling,
    input: &Input<'_>,
    rows: &[Row],
    mut column: Column<'_>,
) {
    let Values::Text { text, .. } = input.values else { return };
    let mut cursor = TileCursor::new(tiling);
    for row in rows {
        let at = row.row as usize;
        if input.admits(at)
            && text.is_valid(at)
            && let Cell::Keyed(tiles) = column.cell(row)
            && let Some(counts) = tiles.entry(cursor.tile(row.at.0), tiling.hops)
        {
            counts.add(&text.value(at).into(), 1, limit);
        }
    }
}

pub(super) fn merge(
    limit: usize,
    tiling: Tiling,
    mine: &mut Tiles<Counts>,
    theirs: &Tiles<Counts>,
) {
    for (index, counts) in theirs.since(i64::MIN) {
        if let Some(total) = mine.entry(index, tiling.hops) {
            total.merge(counts, limit);
        }
    }
}

/// Keys of the newest tile in sight, if they are known: what stands beside a value of the same column.
pub(super) fn newest_keys(
    tiling: Tiling,
    tiles: &Tiles<Counts>,
    greatest: EventTime,
) -> &[(Text, u64)] {
    match tiles.since(tiling.oldest_kept(greatest.0)).next_back() {
        Some((_, Counts::Exact(entries))) => entries,
        Some((_, Counts::Buckets(_))) | None => &[],
    }
}

/// Known totals by key. A key is known where every tile in sight is exact or has nothing in its bucket.
pub(super) fn read(tiles: &Tiles<Counts>, oldest: i64) -> Option<Value> {
    let mut totals: Vec<(&Text, i128)> = Vec::new();
    let mut bucketed: Vec<&[u64; BUCKETS]> = Vec::new();
    for (_, counts) in tiles.since(oldest) {
        match counts {
            Counts::Exact(entries) => {
                totals.extend(entries.iter().map(|(key, count)| (key, i128::from(*count))));
            }
            Counts::Buckets(buckets) => bucketed.push(buckets),
        }
    }
    totals.sort_unstable_by(|a, b| a.0.cmp(b.0));
    totals.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    if !bucketed.is_empty() {
        totals.retain(|(key, _)| {
            let bucket = bucket(key.as_bytes());
            bucketed.iter().all(|buckets| buckets[bucket] == 0)
        });
    }
    let total = |count| i64::try_from(count).unwrap_or(i64::MAX);
    let entries = totals.into_iter().map(|(key, count)| (key.as_str().into(), total(count)));
    Some(Value::Map { entries: entries.collect(), complete: bucketed.is_empty() })
}
