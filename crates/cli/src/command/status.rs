//! `twofold status`: positions, watermarks, lag, ledgers; what is in the registry.

use std::path::Path;

use models::Registry;
use online::updater::{self, LaneStatus};
use serde::Serialize;

use super::Context;
use crate::data::Data;
use crate::output::Outcome;

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
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &definitions::Definitions,
    digest: bool,
) -> anyhow::Result<Outcome> {
    let status = read(context, data, definitions, digest).await?;
    Outcome::new(&status, text(&status))
}

/// Reads it all.
pub(crate) async fn read(
    context: &Context,
    data: &Data,
    definitions: &definitions::Definitions,
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
    Ok(Status {
        lanes: rows,
        topics,
        other_lanes: other.map(ToString::to_string).collect(),
        bundle: active_bundle(&context.settings.data)?,
    })
}

fn active_bundle(data: &Path) -> anyhow::Result<Option<String>> {
    let active = Registry::at(data.join("models")).active()?;
    Ok(active.digest().map(str::to_owned))
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
    lines.push(match &status.bundle {
        Some(digest) => format!("active bundle: {digest}"),
        None => "no bundle: run `twofold train`".to_owned(),
    });
    lines.join("\n")
}
