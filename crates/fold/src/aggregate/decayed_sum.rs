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

    /// `round(2^(micros / half_life) · 2^32)`, half away from zero, for a time this long after its epoch's
    /// start.
    fn weight(self, micros: i64) -> i64 {
        let weight = libm::exp2(micros as f64 / self.half_life_us as f64) * ONE;
        // Below 2^41: nothing is lost by cutting, and the rest is exact.
        let whole = weight as i64;
        whole + i64::from(weight - whole as f64 >= 0.5)
    }
}

/// Remembers the last epoch, as rows come in about the order of time and a division costs.
struct EpochCursor {
    half_life: HalfLife,
    epoch: i64,
    start: i64,
    until: i64,
}

impl EpochCursor {
    fn new(half_life: HalfLife) -> Self {
        Self { half_life, epoch: 0, start: 0, until: 0 }
    }

    /// The epoch that `at` lies in, and the microseconds since its start.
    fn place(&mut self, at: EventTime) -> (i64, i64) {
        if at.0 < self.start || at.0 >= self.until {
            self.epoch = self.half_life.epoch(at);
            let micros = at.0.rem_euclid(self.half_life.epoch_us);
            let Some(start) = at.0.checked_sub(micros) else {
                // It starts before the type's range: nothing is remembered.
                (self.start, self.until) = (0, 0);
                return (self.epoch, micros);
            };
            (self.start, self.until) = (start, start.saturating_add(self.half_life.epoch_us));
            return (self.epoch, micros);
        }
        (self.epoch, at.0 - self.start)
    }
}

pub(super) fn fold(half_life: HalfLife, input: &Input<'_>, rows: &[Row], mut column: Column<'_>) {
    let values = match input.values {
        Values::Int(values) => Some(values),
        _ => None,
    };
    let mut cursor = EpochCursor::new(half_life);
    for row in rows {
        let at = row.row as usize;
        if !input.admits(at) || values.is_some_and(|values| values.is_null(at)) {
            continue;
        }
        let value = values.map_or(1, |values| values.value(at));
        let (epoch, micros) = cursor.place(row.at);
        if let Cell::Decayed(epochs) = column.cell(row)
            && let Some(sum) = epochs.entry(epoch, EPOCHS_KEPT)
        {
            sum.add(i128::from(value) * i128::from(half_life.weight(micros)));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_weight_is_the_formula_to_the_bit(half_life_us: i64, micros: i64) {
            let half_life = HalfLife::new(half_life_us);
            let micros = micros.rem_euclid(half_life.epoch_us);
            let exact = libm::exp2(half_life.half_lives(i128::from(micros))) * ONE;
            prop_assert_eq!(half_life.weight(micros), libm::round(exact) as i64);
        }

        #[test]
        fn a_cursor_agrees_with_the_division(
            half_life_us in prop_oneof![1..1000i64, any::<i64>()],
            ats in prop::collection::vec(prop_oneof![-9000..9000i64, any::<i64>()], 1..20),
        ) {
            let half_life = HalfLife::new(half_life_us);
            let mut cursor = EpochCursor::new(half_life);
            for at in ats.into_iter().chain([i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1]) {
                let expected = (half_life.epoch(EventTime(at)), at.rem_euclid(half_life.epoch_us));
                prop_assert_eq!(cursor.place(EventTime(at)), expected, "{}", at);
            }
        }
    }
}
