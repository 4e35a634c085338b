//! `twofold update`: the updater by itself.

use std::time::Duration;

use online::updater::{Handle, Updater};
use runtime::shutdown;

use super::Context;
use crate::output::Progress;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

pub(super) async fn run(context: Context, drain: bool) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let data = context.open(&definitions).await?;
    let parts = data.updater(definitions.lanes());
    let (updater, handle) = Updater::open(context.settings.updater.clone(), parts).await?;
    let shutdown = shutdown::on_signal()?;
    let watching = tokio::spawn(watch(handle.clone()));
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

/// Shows how far the slowest lane is until everything that was there at the start is covered.
pub(crate) async fn watch(handle: Handle) {
    let mut progress: Option<Progress> = None;
    while !handle.is_caught_up() {
        let (mut done, mut of) = (0, 0);
        for (_, _, slot) in handle.progress() {
            of += slot.end.0.saturating_sub(slot.start.0);
            done += slot.next().0.min(slot.end.0).saturating_sub(slot.start.0);
        }
        progress.get_or_insert_with(|| Progress::new("updating", of)).set(done, of);
        tokio::time::sleep(LOOK).await;
    }
}
