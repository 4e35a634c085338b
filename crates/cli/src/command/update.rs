//! `twofold update`: the updater by itself.

use std::sync::Arc;

use definitions::Definitions;
use online::updater;
use runtime::exit::Code;
use runtime::shutdown::{self, Shutdown};

use super::Context;
use crate::admin;
use crate::data::Data;
use crate::metrics::{self, Roles};
use crate::output::{self, Outcome};
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
    let updating = async {
        match drain {
            true => updater.drain(shutdown).await,
            false => updater.run(shutdown).await,
        }
    };
    let result = data.unless_broken(updating).await;
    watching.abort();
    let stopped = cut_short(result)?;
    data.settle().await?;
    let (counters, caught_up) = (handle.counters(), handle.is_caught_up());
    let json = serde_json::json!({ "caught_up": caught_up, "counters": &counters });
    let (records, commits) = (counters.records, counters.commits);
    let refused = refused(counters.late_written, counters.dead_letters_written);
    let text =
        format!("{records} records read, {commits} commits, caught up: {caught_up}{refused}");
    context.output.outcome(&ended(Outcome::new(&json, text)?, stopped))
}

/// Whether a drain was told to stop before its end: what it has done by then is told all the same.
///
/// # Errors
/// Any other.
pub(super) fn cut_short(drained: anyhow::Result<()>) -> anyhow::Result<Option<updater::Error>> {
    match drained.map_err(anyhow::Error::downcast) {
        Ok(()) => Ok(None),
        Err(Ok(error @ updater::Error::CutShort)) => Ok(Some(error)),
        Err(Ok(error)) => Err(error.into()),
        Err(Err(error)) => Err(error),
    }
}

/// What a drain came to.
pub(super) fn ended(outcome: Outcome, cut_short: Option<updater::Error>) -> Outcome {
    match cut_short {
        Some(error) => outcome.failing(Code::Failure, error.to_string()),
        None => outcome,
    }
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
