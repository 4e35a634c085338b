//! `twofold lanes`: lanes in the store, also those of definitions that nobody has any more.

use anyhow::Context as _;
use record::LaneId;
use runtime::exit::{Code, With};
use serde::Serialize;

use super::Context;
use crate::args::LanesCommand;

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    /// `source by entity`; `None`: not of these definitions.
    of: Option<String>,
}

pub(super) async fn run(context: Context, command: LanesCommand) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let data = context.open_existing().await?;
    let stored = data.store.lanes().await?;
    let lanes = definitions.lanes();
    let of = |id: &LaneId| {
        let lane = lanes.iter().find(|lane| lane.id == *id)?;
        Some(format!("{} by {}", lane.source.name, lane.entity))
    };
    match command {
        LanesCommand::List => {
            let row = |id: &LaneId| Row { id: id.to_string(), of: of(id) };
            let rows: Vec<Row> = stored.iter().map(row).collect();
            context.output.result(&serde_json::json!({ "lanes": &rows }), || {
                if rows.is_empty() {
                    return "the store has no lanes yet: `twofold update` makes them".to_owned();
                }
                let line = |row: &Row| {
                    format!("{}  {}", row.id, row.of.as_deref().unwrap_or("of other definitions"))
                };
                rows.iter().map(line).collect::<Vec<_>>().join("\n")
            })
        }
        LanesCommand::Remove { id } => {
            let found = stored.iter().find(|lane| lane.to_string() == id);
            let lane = found
                .with_context(|| format!("the store has no lane {id}: see `twofold lanes list`"))
                .exit(Code::Configuration)?;
            data.store.remove(*lane).await?;
            let removed = serde_json::json!({ "removed": &id, "of": of(lane) });
            context.output.result(&removed, || match of(lane) {
                Some(of) => format!(
                    "removed lane {id} ({of}): the next `twofold update` or `up` folds the log into it \
                     again"
                ),
                None => format!("removed lane {id}, which was of other definitions"),
            })
        }
    }
}
