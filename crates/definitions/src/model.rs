//! A model file: the ordered inputs of a model as SQL expressions over the joined row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DFSchema;

use crate::{Definitions, expression};

/// The ordered inputs of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Name, such as `ranker`.
    pub name: String,
    /// Candidate sources whose `source.<name>.score|rank|share` the inputs may use.
    pub sources: Vec<String>,
    /// Inputs in order.
    pub inputs: Vec<ModelInput>,
    /// BLAKE3 over the inputs and the hashes of every group that they name.
    pub hash: [u8; 32],
}

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInput {
    /// Name, unique in the model.
    pub name: String,
    /// SQL over the joined row.
    pub expr: String,
}

/// A model's inputs, compiled.
#[derive(Debug, Clone)]
pub struct CompiledModel {
    /// The definition.
    pub model: Arc<Model>,
}

impl Definitions {
    /// The schema of the joined row: `<group>.<feature>` for every group, `source.<name>.score`
    /// (`Float64`), `.rank` (`Int64`, from 1) and `.share` (`Float64`), null where the source did not
    /// give the item, and `request.hour`, `request.weekday` (`Int64`, UTC), `request.position_count`.
    #[must_use]
    pub fn joined_schema(&self, model: &Model) -> Arc<DFSchema> {
        let _ = model;
        unimplemented!()
    }

    /// Compiles a model by name.
    ///
    /// # Errors
    /// When there is no such model (with the nearest name).
    pub fn compile_model(&self, name: &str) -> Result<CompiledModel, expression::Error> {
        let _ = name;
        unimplemented!()
    }
}

impl CompiledModel {
    /// Evaluates the inputs over joined rows: row-major `rows × inputs`, f64 inside and one final
    /// cast to f32; a null is 0, and a row that fails alone is 0 in that input and listed.
    #[must_use]
    pub fn evaluate(&self, rows: &RecordBatch) -> (Vec<f32>, Vec<(usize, String)>) {
        let _ = rows;
        unimplemented!()
    }
}
