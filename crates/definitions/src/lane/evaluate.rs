//! A lane's expressions over a batch, and the rows that they refuse.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use super::alike::Rows;
use super::{Columns, Conversion, Lane, LaneExpression, LaneFeature, Operation, SCALED_MAX};
use crate::decode::KEY_BYTES_MAX;
use crate::{EventBatch, Reason, Rejection};

/// A row that a column has no value for, and why.
type Failure = (usize, Reason, String);

impl Lane {
    /// Evaluates each distinct expression over the batch, with row semantics: a row's value is what
    /// it would be alone; a row that fails alone is rejected, no other row is touched. A value that
    /// fails on rows which the feature's filter does not admit is not asked for, so it rejects nothing.
    /// The same holds for a text that is longer than the feature keeps.
    #[must_use]
    pub fn evaluate(&self, batch: &EventBatch) -> Columns {
        let mut columns = Vec::with_capacity(self.expressions.len());
        let mut failures: Vec<Vec<Failure>> = Vec::with_capacity(self.expressions.len());
        let mut rows = Rows::new(&self.source, &batch.columns);
        for expression in &self.expressions {
            let (column, failed) = expression.evaluate(&mut rows);
            columns.push(column);
            failures.push(failed);
        }
        let mut rejected: BTreeMap<usize, Rejection> = BTreeMap::new();
        self.empty_keys(batch, &mut rejected);
        for (index, failed) in failures.into_iter().enumerate() {
            for (row, reason, detail) in failed {
                if self.needs(index, row, &columns) {
                    rejected.entry(row).or_insert_with(|| {
                        let sql = &self.expressions[index].sql;
                        Rejection { row, reason, detail: format!("`{sql}`: {detail}") }
                    });
                }
            }
        }
        self.long_texts(&columns, &mut rejected);
        for rejection in &batch.rejections {
            rejected.remove(&rejection.row);
        }
        Columns { columns, rejections: rejected.into_values().collect() }
    }

    /// Whether a feature asks for this column in this row.
    fn needs(&self, column: usize, row: usize, columns: &[ArrayRef]) -> bool {
        self.features.iter().any(|feature| {
            if feature.filter == Some(column) {
                return true;
            }
            let used = match feature.operation {
                Operation::Sum { value, .. } | Operation::Last { value } => value == column,
                Operation::CountBy { by, .. } => by == column,
                Operation::Sequence { value, tag, .. } => value == column || tag == Some(column),
                Operation::DecayedSum { value, .. } => value == Some(column),
                Operation::Count { .. } | Operation::InterestVector { .. } => false,
            };
            used && feature.admits(row, columns)
        })
    }

    /// A state holds a text per entry and tile, so without a bound a few records could make a state that
    /// no store takes.
    fn long_texts(&self, columns: &[ArrayRef], rejected: &mut BTreeMap<usize, Rejection>) {
        for feature in &self.features {
            for (column, bytes_max) in feature.operation.texts() {
                let Some(texts) = columns[column].as_string_opt::<i32>() else { continue };
                for (row, ends) in texts.value_offsets().windows(2).enumerate() {
                    let bytes = (ends[1] - ends[0]) as usize;
                    if bytes <= bytes_max || texts.is_null(row) || !feature.admits(row, columns) {
                        continue;
                    }
                    rejected.entry(row).or_insert_with(|| {
                        let sql = &self.expressions[column].sql;
                        let name = &feature.name;
                        let detail = format!(
                            "`{sql}`: text of {bytes} bytes; `{name}` keeps at most {bytes_max}"
                        );
                        Rejection { row, reason: Reason::OutOfRange, detail }
                    });
                }
            }
        }
    }

    fn empty_keys(&self, batch: &EventBatch, rejected: &mut BTreeMap<usize, Rejection>) {
        // The decoder has judged the stream key.
        if self.is_stream_keyed() {
            return;
        }
        let keys = batch.columns.column(self.entity_column).as_string::<i32>();
        let offsets = keys.value_offsets();
        for row in 0..keys.len() {
            let bytes = (offsets[row + 1] - offsets[row]) as usize;
            let name = || &self.source.columns[self.entity_column].name;
            let (reason, detail) = match bytes {
                0 => (
                    Reason::MissingKey,
                    format!("`{}` is empty; expected the key of an {}", name(), self.entity),
                ),
                1..=KEY_BYTES_MAX => continue,
                _ => (
                    Reason::WrongType,
                    format!("`{}` has {bytes} bytes; expected at most {KEY_BYTES_MAX}", name()),
                ),
            };
            rejected.insert(row, Rejection { row, reason, detail });
        }
    }
}

impl LaneExpression {
    fn evaluate(&self, rows: &mut Rows<'_>) -> (ArrayRef, Vec<Failure>) {
        let (values, failed) = rows.evaluate(&self.expression);
        let mut failures: Vec<Failure> =
            failed.into_iter().map(|(row, reason)| (row, Reason::Expression, reason)).collect();
        let column = match self.conversion {
            Conversion::Plain => values,
            Conversion::Filter => filter(&values),
            Conversion::Scaled(scale) => scaled(&values, scale, &mut failures),
        };
        (column, failures)
    }
}

impl LaneFeature {
    /// Whether its filter lets a row in.
    fn admits(&self, row: usize, columns: &[ArrayRef]) -> bool {
        self.filter.is_none_or(|filter| columns[filter].as_boolean().value(row))
    }
}

fn filter(values: &ArrayRef) -> ArrayRef {
    let values: &BooleanArray = values.as_boolean();
    if values.null_count() == 0 {
        return Arc::new(values.clone());
    }
    Arc::new(prep_null_mask_filter(values))
}

/// Fixed point: `value × 10^scale`, half to even; null stays null, what is too large fails.
fn scaled(values: &ArrayRef, scale: u8, failures: &mut Vec<Failure>) -> ArrayRef {
    let mut refuse = |row: usize, value: &dyn std::fmt::Display| {
        let detail = format!("{value} at scale {scale} lies beyond ± 2^53");
        failures.push((row, Reason::OutOfRange, detail));
        None
    };
    let within = |v: i128| i64::try_from(v).ok().filter(|v| v.abs() <= SCALED_MAX);
    let factor = 10_i128.pow(u32::from(scale));
    let out: Int64Array = match values.data_type() {
        DataType::Int64 => {
            let values = values.as_primitive::<Int64Type>();
            if scale == 0 && values.values().iter().all(|v| (-SCALED_MAX..=SCALED_MAX).contains(v))
            {
                values.clone()
            } else {
                let scale_up = |(row, value): (usize, Option<i64>)| {
                    let value = value?;
                    within(i128::from(value) * factor).or_else(|| refuse(row, &value))
                };
                values.iter().enumerate().map(scale_up).collect()
            }
        }
        DataType::Decimal128(_, from) => {
            let from = i32::from(*from);
            let values = values.as_primitive::<Decimal128Type>();
            let rescale = |(row, value): (usize, Option<i128>)| {
                let value = value?;
                rescale(value, i32::from(scale) - from)
                    .and_then(within)
                    .or_else(|| refuse(row, &format_args!("{value}e-{from}")))
            };
            values.iter().enumerate().map(rescale).collect()
        }
        // The compiler lets no other type through.
        _ => {
            let factor = factor as f64;
            let bound = SCALED_MAX as f64;
            let values = values.as_primitive::<Float64Type>();
            let round = |(row, value): (usize, Option<f64>)| {
                let value = value?;
                let scaled = libm::rint(value * factor);
                if scaled.abs() <= bound { Some(scaled as i64) } else { refuse(row, &value) }
            };
            values.iter().enumerate().map(round).collect()
        }
    };
    Arc::new(out)
}

/// `value × 10^digits`, half to even; `None` when it does not fit.
fn rescale(value: i128, digits: i32) -> Option<i128> {
    let power = 10_i128.checked_pow(digits.unsigned_abs());
    if digits >= 0 {
        return power.and_then(|power| value.checked_mul(power));
    }
    let Some(power) = power else { return Some(0) };
    let (quotient, remainder) = (value.div_euclid(power), value.rem_euclid(power));
    let up = match remainder.cmp(&(power - remainder)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => true,
    };
    Some(quotient + i128::from(up))
}
