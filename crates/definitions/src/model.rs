//! A model file: the ordered inputs of a model as SQL expressions over the joined row.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{DFSchema, TableReference};

use crate::expression::{Error, Expression};
use crate::hash::Hasher;
use crate::{AggregateSpec, Definitions, Feature, Group, Lane, suggest};

/// Names of the candidate sources that there are; the `candidates` crate implements them.
pub const CANDIDATE_SOURCES: [&str; 6] =
    ["covisit", "sequential", "sessions", "interest", "trending", "recent"];

/// The ordered inputs of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Name, such as `ranker`.
    pub name: String,
    /// Candidate sources whose `source.<name>.score|rank|share` the inputs may use.
    pub sources: Vec<String>,
    /// Inputs in order.
    pub inputs: Vec<ModelInput>,
    /// BLAKE3 over the inputs, the hashes of every group that they name and, where the model has candidate
    /// sources, of the groups whose sequences and interest vectors those read.
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
    inputs: Vec<CompiledInput>,
}

/// One input, compiled: a number, or true or false.
#[derive(Debug, Clone)]
pub(crate) struct CompiledInput(Expression);

impl CompiledInput {
    pub(crate) fn compile(input: &ModelInput, schema: &Arc<DFSchema>) -> Result<Self, Error> {
        let expression = Expression::compile(&input.expr, schema)?;
        match expression.data_type() {
            DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => {
                Ok(Self(expression))
            }
            other => Err(Error::new(format!(
                "`{}` is of type {other}; expected a number, or true or false",
                input.expr
            ))),
        }
    }
}

/// The joined row over lanes: see [`Definitions::joined_schema`].
pub(crate) fn joined_schema(lanes: &[Arc<Lane>], sources: &[String]) -> Arc<DFSchema> {
    let mut fields: Vec<(Option<TableReference>, Arc<Field>)> = Vec::new();
    let mut add = |qualifier: TableReference, name: &str, data_type: DataType| {
        fields.push((Some(qualifier), Arc::new(Field::new(name, data_type, true))));
    };
    let mut features: Vec<_> = lanes
        .iter()
        .flat_map(|lane| lane.features.iter().map(move |feature| (lane, feature)))
        .map(|(lane, feature)| (&lane.groups[feature.group].name, lane, feature))
        .collect();
    // Stable: within a group the features keep the order of the file.
    features.sort_by_key(|(group, ..)| *group);
    for (group, lane, feature) in features {
        let data_type = lane.feature_type(feature);
        add(TableReference::bare(group.as_str()), &feature.name, data_type);
    }
    for source in sources {
        let qualifier = TableReference::partial("source", source.as_str());
        add(qualifier.clone(), "score", DataType::Float64);
        add(qualifier.clone(), "rank", DataType::Int64);
        add(qualifier, "share", DataType::Float64);
    }
    for name in ["hour", "weekday", "position_count"] {
        add(TableReference::bare("request"), name, DataType::Int64);
    }
    let schema = DFSchema::new_with_metadata(fields, HashMap::new())
        .expect("groups, features and sources have unique names, none of them reserved");
    Arc::new(schema)
}

/// What a model means: its sources, its inputs, and the groups that either reads. A candidate source
/// reads the visitor's sequence and interest vector, so they are meant wherever `source.*` is.
pub(crate) fn hash(model: &Model, inputs: &[CompiledInput], lanes: &[Arc<Lane>]) -> [u8; 32] {
    let mut hasher = Hasher::new("model");
    for source in &model.sources {
        hasher.text("source").text(source);
    }
    let mut named = BTreeSet::new();
    for (input, CompiledInput(expression)) in model.inputs.iter().zip(inputs) {
        hasher.text("input").text(&input.name).text(expression.canonical());
        named.extend(expression.columns().iter().filter_map(|c| c.split('.').next()));
    }
    let mut groups: Vec<_> = lanes.iter().flat_map(|lane| &lane.groups).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let has_sources = !model.sources.is_empty();
    let is_read = |group: &Group| {
        let by_sources = |feature: &Feature| {
            matches!(
                feature.aggregate,
                AggregateSpec::Sequence { .. } | AggregateSpec::InterestVector { .. }
            )
        };
        named.contains(group.name.as_str())
            || (has_sources && group.features.iter().any(by_sources))
    };
    for group in groups.iter().filter(|group| is_read(group)) {
        hasher.text("group").text(&group.name).bytes(&group.hash);
    }
    hasher.finish()
}

impl Definitions {
    /// The schema of the joined row: `<group>.<feature>` for every group (by name, features in the
    /// order of the file, of type [`Lane::feature_type`]), then for each source of the model
    /// `source.<name>.score` (`Float64`), `.rank` (`Int64`, from 1) and `.share` (`Float64`), null where
    /// the source did not give the item, then `request.hour` (0–23), `request.weekday` (0 = Monday) and
    /// `request.position_count` (`Int64`, UTC). Every field is nullable.
    #[must_use]
    pub fn joined_schema(&self, model: &Model) -> Arc<DFSchema> {
        joined_schema(&self.lanes, &model.sources)
    }

    /// Compiles a model by name.
    ///
    /// # Errors
    /// When there is no such model (with the nearest name).
    pub fn compile_model(&self, name: &str) -> Result<CompiledModel, Error> {
        let Some(model) = self.models.iter().find(|model| model.name == name) else {
            let names: Vec<&str> = self.models.iter().map(|model| model.name.as_str()).collect();
            return Err(Error {
                suggestion: suggest::nearest(name, names.iter().copied()),
                ..Error::new(format!("no model {name:?}; expected one of {}", names.join(", ")))
            });
        };
        let schema = self.joined_schema(model);
        let inputs = model
            .inputs
            .iter()
            .map(|input| CompiledInput::compile(input, &schema))
            .collect::<Result<_, _>>()?;
        Ok(CompiledModel { model: Arc::clone(model), inputs })
    }
}

impl CompiledModel {
    /// Qualified names of the joined row's columns that the inputs read.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&str> {
        let inputs = self.inputs.iter();
        inputs.flat_map(|CompiledInput(input)| input.columns()).map(String::as_str).collect()
    }

    /// Evaluates the inputs over joined rows: row-major `rows × inputs`, f64 inside and one final
    /// cast to f32; a null is 0, and a row that fails alone, or whose value no f32 holds, is 0 in that
    /// input and listed with the input's name (ascending by row).
    #[must_use]
    pub fn evaluate(&self, rows: &RecordBatch) -> (Vec<f32>, Vec<(usize, String)>) {
        let (width, height) = (self.inputs.len(), rows.num_rows());
        let mut out = vec![0.0_f32; width * height];
        let mut failures = Vec::new();
        for (column, CompiledInput(expression)) in self.inputs.iter().enumerate() {
            let name = &self.model.inputs[column].name;
            let (values, failed) = expression.evaluate(rows);
            failures.extend(failed.into_iter().map(|(row, why)| (row, format!("`{name}`: {why}"))));
            let values = doubles(&values);
            for (row, value) in values.as_primitive::<Float64Type>().iter().enumerate() {
                let value = value.unwrap_or(0.0);
                let narrow = value as f32;
                if narrow.is_finite() {
                    // The narrowing can make a −0 of a small negative number.
                    out[row * width + column] = narrow + 0.0;
                } else {
                    failures.push((row, format!("`{name}`: {value} is not a finite f32")));
                }
            }
        }
        failures.sort();
        (out, failures)
    }
}

fn doubles(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float64 => Arc::clone(values),
        // Booleans, integers and decimals all have a cast to a double.
        _ => cast(values, &DataType::Float64).expect("the compiler let only numbers through"),
    }
}
