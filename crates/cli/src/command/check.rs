//! `twofold check`: definitions, their expressions, and their golden examples run through the fold.

use std::path::PathBuf;
use std::sync::Arc;

use definitions::{Definitions, Lane};
use runtime::exit::{Code, With};
use runtime::settings::Invalid;

use super::Context;
use crate::output::Outcome;
use crate::{data, definition_files};

pub(super) fn run(context: &Context, dir: Option<PathBuf>) -> anyhow::Result<()> {
    let dir = dir.unwrap_or_else(|| context.settings.definitions.clone());
    let definitions = definition_files::load(&dir)?;
    data::topics(&definitions, &context.settings)?;
    let checked = check_model(&context.settings.service.model, &definitions);
    checked.map_err(|invalid| context.loaded.refuse(invalid)).exit(Code::Configuration)?;
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
        "lanes": costs(&definitions),
        "hash": definitions.hash().iter().map(|b| format!("{b:02x}")).collect::<String>(),
    });
    let outcome = Outcome::new(&json, describe(&definitions, &lanes, &failures))?;
    context.output.outcome(&match failures.len() {
        0 => outcome,
        differ => outcome.failing(Code::Configuration, format!("{differ} golden values differ")),
    })
}

/// Refuses a `service.model` that no file defines. Definitions without any model are for features alone.
fn check_model(name: &str, definitions: &Definitions) -> Result<(), Invalid> {
    let models = &definitions.models;
    if models.is_empty() || models.iter().any(|model| model.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let message = format!("is `{name}`, which no file in models/ defines");
    Err(Invalid::new("service.model", message, format!("give one of {}", names.join(", "))))
}

/// What each lane costs, for a program.
fn costs(definitions: &Definitions) -> Vec<serde_json::Value> {
    let lanes = definitions.explain().lanes;
    let cost = |lane: &definitions::explain::LaneExplanation| {
        serde_json::json!({
            "id": lane.id.to_string(),
            "source": lane.name.0,
            "entity": lane.name.1,
            "kernels_per_event": lane.expressions.iter().map(|e| e.kernels).sum::<usize>(),
            "keys_per_event": lane.keys_per_event,
            "bytes_per_key_max": lane.bytes_per_key_max(),
            "state_bytes_max": lane.state_bytes_max,
            "sweep_after_us": lane.sweep_after_us,
            "kept_by": lane.kept_by.as_ref().map(|(feature, _)| feature),
        })
    };
    lanes.iter().map(cost).collect()
}

fn describe(definitions: &Definitions, lanes: &[Arc<Lane>], failures: &[String]) -> String {
    let mut lines = vec![definitions.explain().to_string()];
    for lane in lanes {
        for feature in &lane.features {
            let group = &lane.groups[feature.group].name;
            lines.push(format!("{group}.{}: {}", feature.name, lane.feature_type(feature)));
        }
    }
    lines.push(format!(
        "{} examples, {} values differ",
        definitions.examples.len(),
        failures.len()
    ));
    lines.extend(failures.iter().cloned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use definitions::parse::parse;

    use super::*;

    #[test]
    fn a_model_that_no_file_defines_is_refused_by_its_setting() {
        let files = definition_files::built_in();
        let shop = parse(&files).unwrap();
        assert_eq!(check_model("ranker", &shop), Ok(()));
        let invalid = check_model("rancor", &shop).unwrap_err();
        assert_eq!(invalid.key, "service.model");
        assert!(invalid.message.contains("`rancor`"), "{invalid:?}");
        assert_eq!(invalid.remedy, "give one of ranker");
        let features: Vec<_> =
            files.into_iter().filter(|file| !file.path.contains("/models/")).collect();
        assert_eq!(check_model("ranker", &parse(&features).unwrap()), Ok(()));
    }
}
