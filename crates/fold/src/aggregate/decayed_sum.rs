//! Exponentially decayed sum. Time is cut into absolute epochs of 8 half-lives; a row adds
//! `value · round(2^((at − start) / half_life) · 2^32)` to its epoch, in integers, so that order cannot
//! matter. A read weighs the epochs down to its own time, in one order.

use arrow::array::Array;
use definitions::lane::EPOCH_HALF_LIVES;
pub(crate) use definitions::lane::EPOCHS_KEPT;
use record::EventTime;

use super::{
    Cell, Column, Row,
    wide::{self, Wide, decode_tiles, encode_tiles, power_of_ten},
};
use crate::{
    Error, Value,
    codec::Reader,
    inputs::{Input, Values},
    tiles::Tiles,
};

const ONE: f64 = 4_294_967_296.0;

/// A half-life and its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HalfLife {
    half_life_us: i64,
    epoch_us: i64,
}

impl HalfLife {
    pub(crate) fn new(half_life_us: i64) -> Self {
        let half_life_us = half_life_us.clamp(1, i64::MAX / EPOCH_HALF_LIVES);
        Self { half_life_us, epoch_us: half_life_us * EPOCH_HALF_LIVES }
    }

    fn epoch(self, at: EventTime) -> i64 {
        at.0.div_euclid(self.epoch_us)
    }

    /// Half-lives between two times; exact in f64 as long as they lie within 285 years.
    fn half_lives(self, micros: i128) -> f64 {
        micros as f64 / self.half_life_us as f64
    }

    fn start(self, epoch: i64) -> i128 {
        i128::from(epoch) * i128::from(self.epoch_us)
    }

    fn oldest_kept(self, greatest: EventTime) -> i64 {
        self.epoch(greatest).saturating_sub(EPOCHS_KEPT - 1)
    }

    /// `round(2^(micros / half_life) · 2^32)`, for a time this long after its epoch's start.
    fn weight(self, micros: i64) -> i128 {
        libm::round(libm::exp2(self.half_lives(i128::from(micros))) * ONE) as i128
    }
}

pub(super) fn fold(half_life: HalfLife, input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    let values = match input.values {
        Values::Int(values) => Some(values),
        _ => None,
    };
    for row in rows {
        let at = row.row as usize;
        if !input.admits(at) || values.is_some_and(|values| values.is_null(at)) {
            continue;
        }
        let value = values.map_or(1, |values| values.value(at));
        let micros = row.at.0.rem_euclid(half_life.epoch_us);
        if let Cell::Decayed(epochs) = column.cell(row)
            && let Some(sum) = epochs.entry(half_life.epoch(row.at), EPOCHS_KEPT)
        {
            sum.add(i128::from(value) * half_life.weight(micros));
        }
    }
}

pub(super) fn encode(
    half_life: HalfLife,
    epochs: &Tiles<Wide>,
    greatest: EventTime,
    out: &mut Vec<u8>,
) {
    let (top, oldest) = (half_life.epoch(greatest), half_life.oldest_kept(greatest));
    encode_tiles(epochs, top, oldest, out, wide::put);
}

pub(super) fn decode(
    half_life: HalfLife,
    reader: &mut Reader<'_>,
    greatest: EventTime,
) -> Result<Tiles<Wide>, Error> {
    let (top, oldest) = (half_life.epoch(greatest), half_life.oldest_kept(greatest));
    decode_tiles(reader, top, oldest, wide::get)
}

/// `Σ epoch · 2^((start − at) / half_life)`, oldest epoch first, over `2^32 · 10^scale`.
pub(super) fn read(
    half_life: HalfLife,
    epochs: &Tiles<Wide>,
    scale: u8,
    greatest: EventTime,
    at: EventTime,
) -> Option<Value> {
    let mut total = None;
    for (epoch, sum) in epochs.since(half_life.oldest_kept(greatest)) {
        let age = half_life.half_lives(i128::from(at.0) - half_life.start(epoch));
        *total.get_or_insert(0.0) += sum.get() as f64 * libm::exp2(-age);
    }
    // A sum of −0 and nothing else cannot be: the first addend meets +0.
    total.map(|total: f64| Value::Float(total / (ONE * power_of_ten(scale)) + 0.0))
}
