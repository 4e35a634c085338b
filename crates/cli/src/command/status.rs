//! `twofold status`: positions, watermarks, lag, ledgers; what is in the registry.

use ::models::Registry;
use definitions::Definitions;
use online::updater::{self, LaneStatus};
use serde::Serialize;

use super::{Context, models};
use crate::data::Data;
use crate::output::Outcome;
use crate::settings::Settings;

/// What `status --json` prints.
#[derive(Serialize)]
pub(crate) struct Status {
    /// One per (lane, partition).
    pub(crate) lanes: Vec<LaneStatus>,
    /// Topics with the number of their records; `None`: not there yet.
    topics: Vec<(String, Option<u64>)>,
    /// Lanes in the store that these definitions do not have.
    other_lanes: Vec<String>,
    /// Digest of the active bundle.
    bundle: Option<String>,
    /// Why it cannot be served with these definitions, if it cannot.
    bundle_problem: Option<String>,
    /// Bundles in the registry.
    bundles: usize,
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    digest: bool,
) -> anyhow::Result<Outcome> {
    let status = read(context, data, definitions, digest).await?;
    Outcome::new(&status, text(&status))
}

/// Reads it all.
pub(crate) async fn read(
    context: &Context,
    data: &Data,
    definitions: &Definitions,
    digest: bool,
) -> anyhow::Result<Status> {
    let lanes = definitions.lanes();
    let rows = updater::status(&*data.log, &*data.store, &lanes, digest).await?;
    let stored = data.store.lanes().await?;
    let other = stored.iter().filter(|id| lanes.iter().all(|lane| lane.id != **id));
    let mut topics = Vec::new();
    for source in &definitions.sources {
        let records = match data.log.bounds(&source.topic).await {
            Ok(bounds) => Some(bounds.iter().map(|b| b.next.0 - b.first.0).sum()),
            Err(event_log::Error::NoTopic { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        topics.push((source.topic.clone(), records));
    }
    let registry = registry(&context.settings, definitions)?;
    Ok(Status {
        lanes: rows,
        topics,
        other_lanes: other.map(ToString::to_string).collect(),
        bundle: registry.active,
        bundle_problem: registry.problem,
        bundles: registry.bundles,
    })
}

struct OfRegistry {
    active: Option<String>,
    problem: Option<String>,
    bundles: usize,
}

fn registry(settings: &Settings, definitions: &Definitions) -> anyhow::Result<OfRegistry> {
    let registry = Registry::at(settings.data.join("models"));
    let active = registry.active()?.digest().map(str::to_owned);
    let listed = registry.digests()?;
    let problem = active.as_ref().and_then(|active| match listed.contains(active) {
        true => models::problem(definitions, &settings.service.model, &registry.dir(active)),
        false => Some(registry.gone(active).to_string()),
    });
    Ok(OfRegistry { active, problem, bundles: listed.len() })
}

fn text(status: &Status) -> String {
    let mut lines = vec![format!(
        "{:<12} {:<8} {:>4} {:>9} {:>9} {:>6} {:>6} {:>6} {:>9} {:>6}",
        "source", "entity", "part", "read", "applied", "dup", "late", "dead", "position", "lag"
    )];
    for lane in &status.lanes {
        lines.push(format!(
            "{:<12} {:<8} {:>4} {:>9} {:>9} {:>6} {:>6} {:>6} {:>9} {:>6}{}",
            lane.source,
            lane.entity,
            lane.partition,
            lane.read,
            lane.applied,
            lane.duplicate,
            lane.late,
            lane.dead_lettered,
            lane.position,
            lane.lag,
            lane.digest.as_ref().map_or(String::new(), |digest| format!("  {}", &digest[..16])),
        ));
    }
    for (topic, records) in &status.topics {
        lines.push(match records {
            Some(records) => format!("topic {topic}: {records} records"),
            None => format!("topic {topic} is not there yet: `twofold topics create` makes it"),
        });
    }
    if !status.other_lanes.is_empty() {
        lines.push(format!("lanes of other definitions: {}", status.other_lanes.join(", ")));
    }
    lines.push(match (&status.bundle, &status.bundle_problem) {
        (Some(digest), None) => format!("active bundle: {digest}"),
        (Some(digest), Some(problem)) => {
            format!("active bundle: {digest}, which cannot be served: {problem}")
        }
        (None, _) if status.bundles > 0 => format!(
            "no active bundle of {}: see `twofold models list`, `twofold models publish`",
            status.bundles
        ),
        (None, _) => "no bundle: run `twofold train`".to_owned(),
    });
    lines.join("\n")
}
