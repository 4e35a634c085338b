//! 128-bit accumulators at 8-byte alignment, which spares a cell its padding, and the bytes of
//! tiles that hold them.

use crate::{
    Error,
    codec::{Reader, put_i128, put_u64},
    tiles::Tiles,
};

/// An `i128`. Sums wrap: an addend is below 2^93, so 2^34 of them would be needed in one tile, and
/// even then the state stays a function of the set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wide([u64; 2]);

impl Wide {
    pub(crate) fn new(value: i128) -> Self {
        Self([value as u64, (value >> 64) as u64])
    }

    pub(crate) fn get(self) -> i128 {
        (i128::from(self.0[1] as i64) << 64) | i128::from(self.0[0])
    }

    #[inline]
    pub(crate) fn add(&mut self, value: i128) {
        *self = Self::new(self.get().wrapping_add(value));
    }
}

pub(crate) fn merge(mine: &mut Tiles<Wide>, theirs: &Tiles<Wide>, hops: i64) {
    for (index, sum) in theirs.since(i64::MIN) {
        if let Some(total) = mine.entry(index, hops) {
            total.add(sum.get());
        }
    }
}

/// Appends tiles from `oldest` on, newest first, with indices relative to `top`, which is at least the
/// newest; `put` sees the next newer tile too, if there is one.
pub(crate) fn encode_tiles<'t, T>(
    tiles: &'t Tiles<T>,
    top: i64,
    oldest: i64,
    out: &mut Vec<u8>,
    mut put: impl FnMut(&'t T, Option<&'t T>, &mut Vec<u8>),
) {
    put_u64(out, tiles.since(oldest).count() as u64);
    let (mut above, mut newer) = (top, None);
    for (index, tile) in tiles.since(oldest).rev() {
        put_u64(out, above.wrapping_sub(index) as u64);
        put(tile, newer, out);
        (above, newer) = (index, Some(tile));
    }
}

/// Reads what [`encode_tiles`] wrote.
pub(crate) fn decode_tiles<'a, T: Default>(
    reader: &mut Reader<'a>,
    top: i64,
    oldest: i64,
    mut get: impl FnMut(&mut Reader<'a>, Option<&T>) -> Result<T, Error>,
) -> Result<Tiles<T>, Error> {
    let count = reader.length(2)?;
    let mut tiles: Vec<(i64, T)> = Vec::with_capacity(count);
    let mut above = top;
    for nth in 0..count {
        let below = reader.u64()?;
        reader.ensure(nth == 0 || below > 0, "a tile that is there twice")?;
        let index = above.checked_sub_unsigned(below).filter(|index| *index >= oldest);
        let index = index.ok_or_else(|| reader.damaged("a tile that no read can see"))?;
        let tile = get(reader, tiles.last().map(|newer| &newer.1))?;
        tiles.push((index, tile));
        above = index;
    }
    tiles.reverse();
    Ok(Tiles::from_ascending(tiles))
}

pub(crate) fn put(sum: &Wide, _: Option<&Wide>, out: &mut Vec<u8>) {
    put_i128(out, sum.get());
}

pub(crate) fn get(reader: &mut Reader<'_>, _: Option<&Wide>) -> Result<Wide, Error> {
    reader.i128().map(Wide::new)
}

/// `total / 10^scale`: one rounding to f64 and one division, each to nearest even.
pub(crate) fn unscale(total: i128, scale: u8) -> f64 {
    total as f64 / power_of_ten(scale)
}

/// Exact up to 10^22; beyond it the product is the same on every machine, too.
pub(crate) fn power_of_ten(scale: u8) -> f64 {
    (0..scale).fold(1.0, |power, _| power * 10.0)
}
