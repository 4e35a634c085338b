//! `twofold models list`: each bundle, and whether it can be served with the definitions of now.

use std::collections::BTreeMap;

use definitions::Definitions;
use models::Registry;
use runtime::exit::Code;
use serde::Serialize;

use super::problem;
use crate::output::Outcome;
use crate::settings::Settings;

/// What `models list --json` prints.
#[derive(Serialize)]
pub(super) struct Listed {
    /// Newest first, those that are damaged last.
    bundles: Vec<Row>,
    /// Digest that the registry's pointer names, whether or not there is such a bundle.
    active: Option<String>,
    /// What is wrong with the pointer.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Row {
    digest: String,
    active: bool,
    created_at_us: Option<i64>,
    metrics: Option<BTreeMap<String, f64>>,
    /// Why it cannot be served.
    problem: Option<String>,
}

pub(super) fn read(
    registry: &Registry,
    definitions: &Definitions,
    settings: &Settings,
) -> anyhow::Result<Listed> {
    let active = registry.active()?.digest().map(str::to_owned);
    let row = |entry: models::registry::Entry| {
        let of_definitions =
            || problem(definitions, &settings.service.model, &registry.dir(&entry.digest));
        let (manifest, problem) = match entry.manifest {
            Ok(manifest) => (Some(manifest), of_definitions()),
            Err(damaged) => (None, Some(damaged)),
        };
        Row {
            active: entry.active,
            created_at_us: manifest.as_ref().map(|manifest| manifest.created_at_us),
            metrics: manifest.map(|manifest| manifest.metrics),
            digest: entry.digest,
            problem,
        }
    };
    let bundles: Vec<Row> = registry.list()?.into_iter().map(row).collect();
    let gone = active.as_ref().filter(|_| !bundles.iter().any(|bundle| bundle.active));
    let problem = gone.map(|digest| registry.gone(digest).to_string());
    Ok(Listed { bundles, active, problem })
}

impl Listed {
    pub(super) fn outcome(&self) -> anyhow::Result<Outcome> {
        let outcome = Outcome::new(self, self.text())?;
        Ok(match &self.problem {
            Some(problem) => outcome.failing(Code::Data, problem.clone()),
            None => outcome,
        })
    }

    fn text(&self) -> String {
        let line = |bundle: &Row| {
            let mark = if bundle.active { "*" } else { " " };
            format!("{mark} {} {}", bundle.digest, bundle.problem.as_deref().unwrap_or(""))
        };
        match (self.bundles.is_empty(), &self.active) {
            (true, None) => "no bundles: run `twofold train`".to_owned(),
            (true, Some(_)) => "no bundles".to_owned(),
            (false, _) => self.bundles.iter().map(line).collect::<Vec<_>>().join("\n"),
        }
    }
}
