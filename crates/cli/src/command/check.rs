//! `twofold check`: definitions, their expressions, and their golden examples run through the fold.

use std::path::PathBuf;
use std::sync::Arc;

use definitions::{Definitions, Lane};
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
        let place = format!("{}:{}: {}", example.file, example.line, example.name);
        let differences = fold::example::differences(&definitions, example);
        failures.extend(differences.iter().map(|difference| format!("{place}: {difference}")));
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
