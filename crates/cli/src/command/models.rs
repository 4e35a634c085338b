//! `twofold models`: the registry of bundles.

use std::path::Path;

use anyhow::Context as _;
use definitions::Definitions;
use models::{Expectation, Registry};
use runtime::exit::{Code, With};

use super::Context;
use crate::args::ModelsCommand;

pub(super) fn run(context: &Context, command: ModelsCommand) -> anyhow::Result<()> {
    let registry = Registry::at(context.existing_directory()?.join("models"));
    let output = context.output;
    match command {
        ModelsCommand::List => {
            let entries = registry.list()?;
            let json: Vec<_> = entries
                .iter()
                .map(|entry| {
                    let problem = entry.manifest.as_ref().err();
                    let manifest = entry.manifest.as_ref().ok();
                    serde_json::json!({
                        "digest": entry.digest,
                        "active": entry.active,
                        "created_at_us": manifest.map(|manifest| manifest.created_at_us),
                        "metrics": manifest.map(|manifest| &manifest.metrics),
                        "problem": problem,
                    })
                })
                .collect();
            output.result(&serde_json::json!({ "bundles": json }), || {
                let line = |entry: &models::registry::Entry| {
                    let mark = if entry.active { "*" } else { " " };
                    let problem = entry.manifest.as_ref().err().map_or("", String::as_str);
                    format!("{mark} {} {problem}", entry.digest)
                };
                match entries.is_empty() {
                    true => "no bundles: run `twofold train`".to_owned(),
                    false => entries.iter().map(line).collect::<Vec<_>>().join("\n"),
                }
            })
        }
        ModelsCommand::Publish { bundle } => {
            let expected = expectation(&*context.definitions()?, &context.settings.service.model)?;
            let now_us = context.clock.now().0;
            let digest = match Path::new(&bundle).is_dir() {
                true => registry.import(Path::new(&bundle), &expected, now_us),
                false => registry.activate(&bundle, &expected, now_us),
            };
            active(output, digest.with_context(|| format!("bundle {bundle}")))
        }
        ModelsCommand::Rollback => {
            let expected = expectation(&*context.definitions()?, &context.settings.service.model)?;
            active(output, registry.rollback(&expected).map_err(Into::into))
        }
    }
}

fn active(output: crate::output::Output, digest: anyhow::Result<String>) -> anyhow::Result<()> {
    let digest = digest.exit(Code::Data)?;
    output.result(&serde_json::json!({ "active": &digest }), || format!("active bundle: {digest}"))
}

/// What a bundle must have been trained on to meet these definitions.
pub(crate) fn expectation(definitions: &Definitions, model: &str) -> anyhow::Result<Expectation> {
    online::service::expectation(definitions, model).exit(Code::Configuration)
}
