//! The aggregates, one file each: how rows are folded into a cell, how two cells merge, their canonical
//! bytes, and what a read gives. A cell may hold more than is visible; what can be seen is decided
//! against the key's greatest time when it is encoded, merged or read, so order cannot matter.

pub(crate) mod count;
pub(crate) mod decayed_sum;
pub(crate) mod interest;
pub(crate) mod keyed;
pub(crate) mod last;
pub(crate) mod sequence;
pub(crate) mod sum;
mod wide;

use record::{EventTime, Offset, Partition};

use crate::{
    Embedding, Error, Value,
    chunks::value_mut,
    codec::Reader,
    inputs::Input,
    plan::{Read, ReadKind, Slot, SlotKind},
    text::Text,
    tiles::Tiles,
};

/// The state of one slot of one key: small, as keys come at random and nearly each brings its cells from
/// memory.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Count(Tiles<u64>),
    Sum(Tiles<wide::Wide>),
    Last(Option<last::Entry>),
    Keyed(Tiles<keyed::Counts>),
    Sequence(sequence::Entries),
    Decayed(Tiles<wide::Wide>),
}

/// Place of an event in the total order of a lane (its source is one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Effective time.
    pub at: EventTime,
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
}

/// An admitted row of a batch and the key it goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) row: u32,
    /// Which key: its cells are the row of that number.
    pub(crate) key: u32,
    pub(crate) at: EventTime,
    pub(crate) offset: Offset,
}

/// The cells of many keys, seen as one slot's column.
pub(crate) struct Column<'a> {
    /// Of [`crate::chunks::Chunks`], rows of `slots`.
    pub(crate) chunks: &'a mut [Vec<Cell>],
    pub(crate) slots: usize,
    pub(crate) slot: usize,
    /// Where all the rows come from.
    pub(crate) partition: Partition,
}

impl Column<'_> {
    #[inline]
    fn cell(&mut self, row: &Row) -> &mut Cell {
        value_mut(self.chunks, self.slots, row.key as usize, self.slot)
    }

    #[inline]
    fn place(&self, row: &Row) -> Place {
        Place { at: row.at, partition: self.partition, offset: row.offset }
    }
}

/// Folds admitted rows into one slot's column: one dispatch per column, none per row.
pub(crate) fn fold(slot: &Slot, input: &Input<'_>, rows: &[Row], column: Column<'_>) {
    match &slot.kind {
        SlotKind::Count { tiling } => count::fold(*tiling, input, rows, column),
        SlotKind::Sum { tiling, .. } => sum::fold(*tiling, input, rows, column),
        SlotKind::Last { .. } => last::fold(input, rows, column),
        SlotKind::Keyed { limit, tiling, .. } => keyed::fold(*limit, *tiling, input, rows, column),
        SlotKind::Sequence { limit, .. } => sequence::fold(*limit, input, rows, column),
        SlotKind::Decayed { half_life, .. } => decayed_sum::fold(*half_life, input, rows, column),
    }
}

impl SlotKind {
    /// Whether nearly every row of its cells goes to memory elsewhere.
    pub(crate) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Keyed { .. } | Self::Sequence { .. })
    }

    pub(crate) fn empty(&self) -> Cell {
        match self {
            Self::Count { .. } => Cell::Count(Tiles::default()),
            Self::Sum { .. } => Cell::Sum(Tiles::default()),
            Self::Last { .. } => Cell::Last(None),
            Self::Keyed { .. } => Cell::Keyed(Tiles::default()),
            Self::Sequence { .. } => Cell::Sequence(sequence::Entries::default()),
            Self::Decayed { .. } => Cell::Decayed(Tiles::default()),
        }
    }

    /// Appends the cell's canonical bytes: what a read at `greatest` or later can see, no more. `before`:
    /// slots and cells that stand before it in the state.
    pub(crate) fn encode(
        &self,
        cell: &Cell,
        before: (&[Slot], &[Cell]),
        greatest: EventTime,
        out: &mut Vec<u8>,
    ) {
        match (self, cell) {
            (Self::Count { tiling }, Cell::Count(tiles)) => {
                count::encode(*tiling, tiles, greatest, out)
            }
            (Self::Sum { tiling, .. }, Cell::Sum(tiles)) => {
                sum::encode(*tiling, tiles, greatest, out)
            }
            (Self::Last { value, ttl_us }, Cell::Last(last)) => {
                last::encode(last, *ttl_us, keys_of(*value, before, greatest), greatest, out)
            }
            (Self::Keyed { tiling, .. }, Cell::Keyed(tiles)) => {
                keyed::encode(*tiling, tiles, greatest, out);
            }
            (Self::Sequence { ttl_us, .. }, Cell::Sequence(entries)) => {
                sequence::encode(entries, *ttl_us, greatest, out);
            }
            (Self::Decayed { half_life, .. }, Cell::Decayed(tiles)) => {
                decayed_sum::encode(*half_life, tiles, greatest, out);
            }
            _ => unreachable!("a cell is made by its slot"),
        }
    }

    /// Reads what [`SlotKind::encode`] wrote.
    pub(crate) fn decode(
        &self,
        reader: &mut Reader<'_>,
        before: (&[Slot], &[Cell]),
        greatest: EventTime,
    ) -> Result<Cell, Error> {
        Ok(match self {
            Self::Count { tiling } => Cell::Count(count::decode(*tiling, reader, greatest)?),
            Self::Sum { tiling, .. } => Cell::Sum(sum::decode(*tiling, reader, greatest)?),
            Self::Last { value, ttl_us } => {
                let keys = keys_of(*value, before, greatest);
                Cell::Last(last::decode(reader, *ttl_us, keys, greatest)?)
            }
            Self::Keyed { limit, tiling, .. } => {
                Cell::Keyed(keyed::decode(*limit, *tiling, reader, greatest)?)
            }
            Self::Sequence { limit, ttl_us, .. } => {
                Cell::Sequence(sequence::decode(*limit, reader, *ttl_us, greatest)?)
            }
            Self::Decayed { half_life, .. } => {
                Cell::Decayed(decayed_sum::decode(*half_life, reader, greatest)?)
            }
        })
    }

    /// Folds the cell of another partial in.
    pub(crate) fn merge(&self, cell: &mut Cell, other: &Cell) {
        match (self, cell, other) {
            (Self::Count { tiling }, Cell::Count(mine), Cell::Count(theirs)) => {
                for (index, count) in theirs.since(i64::MIN) {
                    if let Some(sum) = mine.entry(index, tiling.hops) {
                        *sum = sum.wrapping_add(*count);
                    }
                }
            }
            (Self::Sum { tiling, .. }, Cell::Sum(mine), Cell::Sum(theirs)) => {
                wide::merge(mine, theirs, tiling.hops);
            }
            (Self::Last { .. }, Cell::Last(mine), Cell::Last(theirs)) => last::merge(mine, theirs),
            (Self::Keyed { limit, tiling, .. }, Cell::Keyed(mine), Cell::Keyed(theirs)) => {
                keyed::merge(*limit, *tiling, mine, theirs);
            }
            (Self::Sequence { limit, .. }, Cell::Sequence(mine), Cell::Sequence(theirs)) => {
                sequence::merge(*limit, mine, theirs);
            }
            (Self::Decayed { .. }, Cell::Decayed(mine), Cell::Decayed(theirs)) => {
                wide::merge(mine, theirs, decayed_sum::EPOCHS_KEPT);
            }
            _ => unreachable!("a cell is made by its slot"),
        }
    }

    /// A feature's value at `at`, which does not lie before `greatest`; `None` where there is nothing.
    pub(crate) fn read(
        &self,
        cell: &Cell,
        read: &Read,
        greatest: EventTime,
        at: EventTime,
        embedding: Option<&dyn Embedding>,
    ) -> Option<Value> {
        match (self, cell, read.kind) {
            (Self::Count { tiling }, Cell::Count(tiles), ReadKind::Count { hops }) => {
                count::read(tiles, tiling.oldest_visible(at.0, hops))
            }
            (Self::Sum { tiling, .. }, Cell::Sum(tiles), ReadKind::Sum { hops, scale }) => {
                sum::read(tiles, tiling.oldest_visible(at.0, hops), scale)
            }
            (Self::Last { ttl_us, .. }, Cell::Last(last), ReadKind::Last { .. }) => {
                last::read(last, *ttl_us, greatest)
            }
            (Self::Keyed { tiling, .. }, Cell::Keyed(tiles), ReadKind::Keyed { hops }) => {
                keyed::read(tiles, tiling.oldest_visible(at.0, hops))
            }
            (Self::Sequence { ttl_us, .. }, Cell::Sequence(entries), ReadKind::Sequence) => {
                sequence::read(entries, *ttl_us, greatest)
            }
            (
                Self::Decayed { half_life, .. },
                Cell::Decayed(epochs),
                ReadKind::Decayed { scale },
            ) => decayed_sum::read(*half_life, epochs, scale, greatest, at),
            (
                Self::Sequence { ttl_us, .. },
                Cell::Sequence(entries),
                ReadKind::Interest { half_life_us },
            ) => interest::read(entries.since(*ttl_us, greatest), half_life_us, embedding?),
            _ => unreachable!("a feature reads the slot that was laid for it"),
        }
    }
}

/// Keys that the newest tile of the last counts by `column` has, if there are such before.
fn keys_of<'a>(
    column: usize,
    (slots, cells): (&[Slot], &'a [Cell]),
    greatest: EventTime,
) -> &'a [(Text, u64)] {
    let keys = slots.iter().zip(cells).rev().find_map(|(slot, cell)| match (&slot.kind, cell) {
        (SlotKind::Keyed { by, tiling, .. }, Cell::Keyed(tiles)) if *by == column => {
            Some(keyed::newest_keys(*tiling, tiles, greatest))
        }
        _ => None,
    });
    keys.unwrap_or_default()
}

impl Cell {
    /// Asks for the memory elsewhere that a fold looks at first, where [`SlotKind::is_elsewhere`].
    #[inline]
    pub(crate) fn prefetch_elsewhere(&self) {
        match self {
            Self::Sequence(entries) => entries.prefetch(),
            Self::Keyed(tiles) => tiles.newest().into_iter().for_each(keyed::Counts::prefetch),
            Self::Count(_) | Self::Sum(_) | Self::Last(_) | Self::Decayed(_) => {}
        }
    }

    /// Bytes outside the value itself, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Count(tiles) => tiles.heap_bytes(),
            Self::Sum(tiles) | Self::Decayed(tiles) => tiles.heap_bytes(),
            Self::Last(last) => last.as_ref().map_or(0, last::Entry::heap_bytes),
            Self::Keyed(tiles) => {
                let counts = tiles.since(i64::MIN).map(|tile| tile.1.heap_bytes());
                tiles.heap_bytes() + counts.sum::<usize>()
            }
            Self::Sequence(entries) => entries.heap_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_cells_are_three_cache_lines() {
        assert_eq!(size_of::<Cell>(), 48);
    }
}
