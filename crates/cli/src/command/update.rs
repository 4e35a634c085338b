//! `twofold update`: the updater by itself.

use online::updater::Updater;
use runtime::shutdown;

use super::Context;
use crate::watch;

pub(super) async fn run(context: Context, drain: bool) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let data = context.open(&definitions).await?;
    let parts = data.updater(definitions.lanes());
    let (updater, handle) = Updater::open(context.settings.updater.clone(), parts).await?;
    let shutdown = shutdown::on_signal()?;
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
        format!(
            "{} records read, {} commits, caught up: {caught_up}",
            counters.records, counters.commits
        )
    })
}
