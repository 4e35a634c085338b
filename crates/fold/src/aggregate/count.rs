//! Number of rows, per tile.

use record::EventTime;

use super::{
    Cell, Column, Row,
    wide::{decode_tiles, encode_tiles},
};
use crate::{
    Error, Value,
    codec::{Reader, put_u64},
    inputs::Input,
    tiles::{TileCursor, Tiles, Tiling},
};

pub(super) fn fold(tiling: Tiling, input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    let mut cursor = TileCursor::new(tiling);
    for row in rows {
        if input.admits(row.row as usize)
            && let Cell::Count(tiles) = column.cell(row)
            && let Some(count) = tiles.entry(cursor.tile(row.at.0), tiling.hops)
        {
            *count += 1;
        }
    }
}

pub(super) fn encode(tiling: Tiling, tiles: &Tiles<u64>, greatest: EventTime, out: &mut Vec<u8>) {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    encode_tiles(tiles, top, oldest, out, |count, _, out| put_u64(out, *count));
}

pub(super) fn decode(
    tiling: Tiling,
    reader: &mut Reader<'_>,
    greatest: EventTime,
) -> Result<Tiles<u64>, Error> {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    decode_tiles(reader, top, oldest, |reader, _| count(reader))
}

/// A count that a log can hold.
pub(super) fn count(reader: &mut Reader<'_>) -> Result<u64, Error> {
    let count = reader.u64()?;
    reader.ensure((1..=1 << 53).contains(&count), "a count that no log can give")?;
    Ok(count)
}

pub(super) fn read(tiles: &Tiles<u64>, oldest: i64) -> Option<Value> {
    let total = tiles.since(oldest).map(|tile| i128::from(*tile.1)).sum::<i128>();
    // No tile is empty, so nothing in sight and a total of 0 are the same.
    (total > 0).then(|| Value::Int(i64::try_from(total).unwrap_or(i64::MAX)))
}
