//! SQL expressions: planned by DataFusion, restricted to an allow-list, evaluated as `PhysicalExpr`.
//!
//! The promises, and where they are kept:
//! - *Row semantics*: a row's value is what it would be alone ([`Expression::evaluate`] splits a batch
//!   that fails until the failing rows stand alone).
//! - *No clock, no randomness*: only what [`functions`] lists can be called.
//! - *The same bits everywhere*: transcendental functions come from `libm`; NaN becomes null and −0
//!   becomes 0 after every arithmetic step, so that no comparison sees the sign of a NaN.
//! - *Nothing wraps silently*: integer overflow is an error of its row.

mod arithmetic;
mod canonical;
mod check;
mod context;
pub mod functions;
mod lookup;
mod math;
mod mixture;
mod plan;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;

pub use lookup::{MAP_COMPLETE, MAP_ENTRIES, map_type};

/// Bytes of SQL that one expression may have.
pub const SQL_BYTES_MAX: usize = 4096;

/// A compiled expression over a schema with qualified fields (`group.feature`).
#[derive(Debug, Clone)]
pub struct Expression {
    physical: Arc<dyn PhysicalExpr>,
    data_type: DataType,
    canonical: String,
    columns: Vec<String>,
    kernels: usize,
}

/// Why an expression was refused; the caller adds file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What was found and what was expected.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
    /// The column that the schema lacks, as written, if that is the mistake.
    pub unknown_column: Option<String>,
}

impl Error {
    /// A mistake without a suggestion.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None, unknown_column: None }
    }
}

impl Expression {
    /// Plans `sql` over `schema`. `a.b` and `a.b.c` are qualified names; `map[key]` looks a key up in
    /// a map feature and gives 0 where it is absent. Only deterministic, UTC-only functions pass;
    /// transcendental ones are ours, from `libm`.
    ///
    /// # Errors
    /// Syntax, unknown columns (with the nearest name), types, functions that are not allowed.
    pub fn compile(sql: &str, schema: &Arc<DFSchema>) -> Result<Self, Error> {
        let logical = plan::logical(sql, schema)?;
        let canonical = canonical::text(&logical);
        let mut columns: Vec<String> =
            logical.column_refs().iter().map(|column| column.flat_name()).collect();
        columns.sort();
        let kernels = canonical::kernels(&logical);
        let (physical, data_type) = plan::physical(logical, schema)?;
        Ok(Self { physical, data_type, canonical, columns, kernels })
    }

    /// Type of the values.
    #[must_use]
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// One text per meaning: spelling, white space and letter case of the SQL do not show in it.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Columns that it reads, qualified as in the schema, sorted.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many passes over a batch it takes, about: its nodes that are neither columns nor constants.
    #[must_use]
    pub fn kernels(&self) -> usize {
        self.kernels
    }

    /// Evaluates over rows of the schema; NaN becomes null and −0 becomes 0. Beside the array come the
    /// rows that fail alone, ascending, with their reasons; the array is null there.
    #[must_use]
    pub fn evaluate(&self, rows: &RecordBatch) -> (ArrayRef, Vec<(usize, String)>) {
        match self.evaluate_batch(rows) {
            Ok(array) => (array, Vec::new()),
            Err(_) => {
                let (mut parts, mut failures) = (Vec::new(), Vec::new());
                self.split(rows, 0, &mut parts, &mut failures);
                (self.join(&parts, rows.num_rows()), failures)
            }
        }
    }

    /// Halves a batch that failed until each failing row is alone: a row beside it must not suffer.
    fn split(
        &self,
        rows: &RecordBatch,
        offset: usize,
        parts: &mut Vec<ArrayRef>,
        failures: &mut Vec<(usize, String)>,
    ) {
        match self.evaluate_batch(rows) {
            Ok(array) => parts.push(array),
            Err(reason) if rows.num_rows() <= 1 => {
                parts.push(new_null_array(&self.data_type, rows.num_rows()));
                failures.push((offset, reason));
            }
            Err(_) => {
                let half = rows.num_rows() / 2;
                self.split(&rows.slice(0, half), offset, parts, failures);
                let rest = rows.num_rows() - half;
                self.split(&rows.slice(half, rest), offset + half, parts, failures);
            }
        }
    }

    fn join(&self, parts: &[ArrayRef], rows: usize) -> ArrayRef {
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        concat(&parts).unwrap_or_else(|_| new_null_array(&self.data_type, rows))
    }

    fn evaluate_batch(&self, rows: &RecordBatch) -> Result<ArrayRef, String> {
        self.physical
            .evaluate(rows)
            .and_then(|value| value.into_array(rows.num_rows()))
            .map(|array| canonical::floats(&array))
            .map_err(|error| plan::reason(&error))
    }
}
