//! `twofold models`: the registry of bundles.

mod list;

use std::path::Path;

use anyhow::Context as _;
use definitions::Definitions;
use models::{Expectation, Registry};
use online::service::Loaded;
use runtime::exit::{Code, With};

use super::Context;
use crate::args::ModelsCommand;

pub(super) fn run(context: &Context, command: ModelsCommand) -> anyhow::Result<()> {
    let registry = Registry::at(context.existing_directory()?.join("models"));
    let output = context.output;
    match command {
        ModelsCommand::List => {
            let listed = list::read(&registry, &*context.definitions()?, &context.settings)?;
            output.outcome(&listed.outcome()?)
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

/// Why a bundle's directory cannot be served with these definitions, if it cannot: what the service would say.
pub(crate) fn problem(definitions: &Definitions, model: &str, directory: &Path) -> Option<String> {
    let opened = Loaded::open(definitions, &definitions.lanes(), model, directory);
    opened.err().map(|refused| refused.to_string())
}

/// What a bundle must have been trained on to meet these definitions.
pub(crate) fn expectation(definitions: &Definitions, model: &str) -> anyhow::Result<Expectation> {
    online::service::expectation(definitions, model).exit(Code::Configuration)
}
