//! `twofold update`: the updater by itself.

use std::sync::Arc;

use definitions::Definitions;
use runtime::shutdown::{self, Shutdown};

use super::Context;
use crate::admin;
use crate::data::Data;
use crate::metrics::{self, Roles};
use crate::output;
use crate::watch;

pub(super) async fn run(context: Context, drain: bool) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    // Before anything is made, as where the service listens.
    drop(metrics::bind(&context.settings.metrics).await?);
    let data = context.open(&definitions).await?;
    // Before there is a socket that tells of this process.
    let shutdown = shutdown::on_signal()?;
    let updating = update(&context, &data, &definitions, drain, shutdown);
    admin::beside(&context, &data, &definitions, updating).await
}

async fn update(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
    drain: bool,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let settings = context.settings.updater.clone();
    let (updater, handle) = data.open_updater(settings, definitions.lanes()).await?;
    let roles = Roles { updater: Some(handle.clone()), ..Roles::default() };
    let exporter = match metrics::bind(&context.settings.metrics).await? {
        Some(listener) => Some(metrics::start(listener, context, data, definitions, roles)?),
        None => None,
    };
    if let Some(exporter) = &exporter {
        let metrics = serde_json::json!({ "metrics": exporter.address.to_string() });
        output::line(&metrics.to_string())?;
    }
    let watching = tokio::spawn(watch::updater(handle.clone()));
    let result = match drain {
        true => updater.drain(shutdown).await,
        false => updater.run(shutdown).await,
    };
    watching.abort();
    result?;
    let counters = handle.counters();
    let caught_up = handle.is_caught_up();
    let json = serde_json::json!({ "caught_up": caught_up, "counters": &counters });
    context.output.result(&json, || {
        let (records, commits) = (counters.records, counters.commits);
        let refused = refused(counters.late_written, counters.dead_letters_written);
        format!("{records} records read, {commits} commits, caught up: {caught_up}{refused}")
    })
}

/// What the lanes did not take, if there is any.
fn refused(late: u64, dead_letters: u64) -> String {
    match (late, dead_letters) {
        (0, 0) => String::new(),
        _ => format!(
            "\nnot taken, counted in each lane: {late} late, {dead_letters} dead letters (`twofold status`, \
             `twofold dead-letters list`)"
        ),
    }
}
