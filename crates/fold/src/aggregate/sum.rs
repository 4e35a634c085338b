//! Fixed-point sum, per tile; a tile is there when a value that is not null was.

use record::EventTime;

use super::{
    Cell, Column, Row,
    wide::{self, Wide, decode_tiles, encode_tiles, unscale},
};
use crate::{
    Error, Value,
    codec::Reader,
    inputs::{Input, Values},
    tiles::{TileCursor, Tiles, Tiling},
};
use arrow::array::Array;

pub(super) fn fold(tiling: Tiling, input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    let Values::Int(values) = input.values else { return };
    let mut cursor = TileCursor::new(tiling);
    for row in rows {
        let at = row.row as usize;
        if input.admits(at)
            && values.is_valid(at)
            && let Cell::Sum(tiles) = column.cell(row)
            && let Some(sum) = tiles.entry(cursor.tile(row.at.0), tiling.hops)
        {
            sum.add(i128::from(values.value(at)));
        }
    }
}

pub(super) fn encode(tiling: Tiling, tiles: &Tiles<Wide>, greatest: EventTime, out: &mut Vec<u8>) {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    encode_tiles(tiles, top, oldest, out, wide::put);
}

pub(super) fn decode(
    tiling: Tiling,
    reader: &mut Reader<'_>,
    greatest: EventTime,
) -> Result<Tiles<Wide>, Error> {
    let (top, oldest) = (tiling.tile(greatest.0), tiling.oldest_kept(greatest.0));
    decode_tiles(reader, top, oldest, wide::get)
}

pub(super) fn read(tiles: &Tiles<Wide>, oldest: i64, scale: u8) -> Option<Value> {
    let mut visible = tiles.since(oldest).map(|tile| tile.1.get());
    let first = visible.next()?;
    let total = visible.fold(first, i128::wrapping_add);
    Some(Value::Float(unscale(total, scale)))
}
