//! `twofold check`: definitions, their cost, and their golden examples run through the fold.

use std::path::PathBuf;
use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{Definitions, Example, Expected, Lane};
use fold::{EntityState, Head, LanePartition, Prepared, StateKey, Value, read_time};
use record::{LogId, Offset, Partition, Record};
use runtime::exit::{Code, With};

use super::Context;
use crate::definition_files;

pub(super) fn run(context: &Context, dir: Option<PathBuf>) -> anyhow::Result<()> {
    let dir = dir.unwrap_or_else(|| context.settings.definitions.clone());
    let definitions = definition_files::load(&dir)?;
    let lanes = definitions.lanes();
    for model in &definitions.models {
        definitions.compile_model(&model.name).exit(Code::Configuration)?;
    }
    let mut failures = Vec::new();
    for example in &definitions.examples {
        failures.extend(run_example(&definitions, example));
    }
    let json = serde_json::json!({
        "sources": definitions.sources.len(),
        "groups": definitions.groups.len(),
        "models": definitions.models.len(),
        "examples": definitions.examples.len(),
        "failures": &failures,
        "hash": definitions.hash().iter().map(|b| format!("{b:02x}")).collect::<String>(),
    });
    context.output.result(&json, || describe(&definitions, &lanes, &failures))?;
    match failures.is_empty() {
        true => Ok(()),
        false => Err(anyhow::anyhow!("{} golden values differ", failures.len()))
            .exit(Code::Configuration),
    }
}

fn describe(definitions: &Definitions, lanes: &[Arc<Lane>], failures: &[String]) -> String {
    let mut lines = Vec::new();
    for lane in lanes {
        lines.push(format!("lane {} {} by {}", lane.id, lane.source.name, lane.entity));
        for expression in &lane.expressions {
            lines.push(format!("  each event  {} {:?}", expression.sql, expression.conversion));
        }
        for feature in &lane.features {
            let group = &lane.groups[feature.group].name;
            lines.push(format!("  {group}.{}: {}", feature.name, lane.feature_type(feature)));
        }
    }
    for model in &definitions.models {
        lines.push(format!("model {}: {} inputs", model.name, model.inputs.len()));
    }
    lines.push(format!(
        "{} examples, {} values differ",
        definitions.examples.len(),
        failures.len()
    ));
    lines.extend(failures.iter().cloned());
    lines.join("\n")
}

/// Folds the example's events and compares; one line per value that differs.
fn run_example(definitions: &Definitions, example: &Example) -> Vec<String> {
    let place = format!("{}:{}: {}", example.file, example.line, example.name);
    let lanes = definitions.lanes();
    let lane = lanes.iter().find(|lane| lane.groups.iter().any(|g| g.name == example.group));
    let Some(lane) = lane else { return vec![format!("{place}: no group {}", example.group)] };
    let records: Vec<Record> = (0..)
        .zip(&example.events)
        .map(|(offset, event)| Record {
            partition: Partition(0),
            offset: Offset(offset),
            append_time: event.append_time,
            key: event.key.clone().into_bytes(),
            value: event.json.clone().into_bytes(),
        })
        .collect();
    let batch = Decoder::new(Arc::clone(&lane.source), Partition(0), 1).decode(&records);
    let columns = lane.evaluate(&batch);
    let mut state = LanePartition::new(Arc::clone(lane), Partition(0), Head::start(LogId([0; 16])));
    state.apply_prepared(&Prepared::new(&batch, &lane.source), &columns);
    let watermark = state.head().watermark;
    let bytes = state.state(&StateKey::entity(lane, &example.key));
    let read = match bytes {
        Some(bytes) => EntityState::decode(lane, &bytes),
        None => Ok(EntityState::empty(lane)),
    };
    let entity = match read {
        Ok(entity) => entity,
        Err(error) => return vec![format!("{place}: {error}")],
    };
    let at = read_time(example.as_of, &entity, [watermark]);
    let values = entity.values(lane, at, None);
    let group = lane.groups.iter().position(|g| g.name == example.group).expect("found above");
    let mut failures = Vec::new();
    for (name, expected) in &example.expected {
        let feature = lane.features.iter().position(|f| f.group == group && f.name == *name);
        let found = feature.map(|feature| &values[feature]);
        if !found.is_some_and(|found| equals(expected, found)) {
            failures.push(format!("{place}: {name} is {found:?}, expected {expected:?}"));
        }
    }
    failures
}

fn equals(expected: &Expected, found: &Value) -> bool {
    match (expected, found) {
        (Expected::Null, Value::Null) => true,
        (Expected::Int(a), Value::Int(b)) => a == b,
        (Expected::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Expected::Bool(a), Value::Bool(b)) => a == b,
        (Expected::Text(a), Value::Text(b)) => **a == **b,
        (Expected::Map { entries: a, complete: c }, Value::Map { entries: b, complete: d }) => {
            let pairs = || a.iter().zip(b).all(|(a, b)| *a.0 == *b.0 && a.1 == b.1);
            c == d && a.len() == b.len() && pairs()
        }
        (Expected::Sequence(a), Value::Sequence(b)) => {
            let same = |(a, b): (&(String, record::EventTime, String), &fold::Seen)| {
                *a.0 == *b.item && a.1 == b.at && *a.2 == *b.tag
            };
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        _ => false,
    }
}
