//! `models/*.toml`.

use std::collections::BTreeSet;
use std::sync::Arc;

use toml::de::DeTable;

use super::reader::{Document, Section};
use crate::model::{self, CompiledInput};
use crate::{CANDIDATE_SOURCES, Lane, Model, ModelInput, suggest};

/// Inputs that a model may have.
const INPUTS_MAX: usize = 4096;

/// Reads a model over the lanes' features. `broken` are groups whose own files are wrong: what an
/// input says of them cannot be judged.
pub(super) fn read(
    document: &Document<'_>,
    table: &DeTable<'_>,
    lanes: &[Arc<Lane>],
    broken: &BTreeSet<String>,
) -> Option<(String, Option<Model>)> {
    let root = Section::new(document, table, "a model file", 1);
    let head = root.need_table("model");
    let inputs = root.tables("inputs");
    if !root.has("inputs") || inputs.len() > INPUTS_MAX {
        root.mistake(1, format!("expected 1 to {INPUTS_MAX} `[[inputs]]`, found {}", inputs.len()));
    }
    root.finish();
    let head = head?;
    let name = head.need_name("name")?.value.to_owned();
    let sources = read_sources(&head);
    head.finish();
    let mut model = Model { name: name.clone(), sources, inputs: Vec::new(), hash: [0; 32] };
    let schema = model::joined_schema(lanes, &model.sources);
    let mut compiled = Vec::new();
    let mut good = true;
    for input in inputs {
        let (input_name, expr) = (input.need_name("name"), input.need_text("expr"));
        input.finish();
        let (Some(input_name), Some(expr)) = (input_name, expr) else {
            good = false;
            continue;
        };
        if model.inputs.iter().any(|known| known.name == input_name.value) {
            let message = format!("the model has two inputs `{}`", input_name.value);
            document.mistake(input_name.line, message, None);
            good = false;
        }
        let input = ModelInput { name: input_name.value.to_owned(), expr: expr.value.to_owned() };
        match CompiledInput::compile(&input, &schema) {
            Ok(expression) => compiled.push(expression),
            Err(error) => {
                good = false;
                let qualifier = error.unknown_column.as_deref().and_then(|c| c.split_once('.'));
                if qualifier.is_none_or(|(group, _)| !broken.contains(group)) {
                    let message = format!("the input `{}`: {}", input.name, error.message);
                    document.mistake(expr.line, message, error.suggestion);
                }
            }
        }
        model.inputs.push(input);
    }
    model.hash = model::hash(&model, &compiled, lanes);
    Some((name, good.then_some(model)))
}

/// The candidate sources that the inputs may use: where one is unknown, all that there are, because what
/// the inputs say of sources cannot be judged then.
fn read_sources(head: &Section<'_, '_, '_>) -> Vec<String> {
    let mut sources: Vec<String> = Vec::new();
    let Some(array) = head.need("sources", "an array of strings", head.array("sources")) else {
        return sources;
    };
    let mut unknown = false;
    for value in array.value {
        let line = head.document.line(value.span().start);
        let Some(name) = value.get_ref().as_str() else {
            head.mistake(line, "`sources` has an element that is not a string");
            continue;
        };
        if !CANDIDATE_SOURCES.contains(&name) {
            unknown = true;
            let known = CANDIDATE_SOURCES.join(", ");
            let message = format!("unknown candidate source {name:?}; expected one of {known}");
            head.document.mistake(line, message, suggest::nearest(name, CANDIDATE_SOURCES));
        } else if sources.iter().any(|known| known == name) {
            head.mistake(line, format!("`sources` names `{name}` twice"));
        } else {
            sources.push(name.to_owned());
        }
    }
    if unknown { Vec::from(CANDIDATE_SOURCES.map(str::to_owned)) } else { sources }
}
