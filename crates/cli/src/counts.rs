//! What a running service has counted: what it answered, what it degraded, dropped or refused. In the log
//! once a minute and at the end, and with `--json` the last line of stdout.

use std::time::Duration;

use online::item_table::{self, ItemTable};
use online::service::{self, MetricsSnapshot};
use online::updater;
use serde::Serialize;

use crate::output::Output;

/// How often it is in the log.
const EVERY: Duration = Duration::from_secs(60);

/// Where the counts come from.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) service: service::Handle,
    pub(crate) updater: Option<updater::Handle>,
    pub(crate) items: ItemTable,
}

/// What was counted since the start.
#[derive(Debug, Serialize)]
struct Counted {
    service: MetricsSnapshot,
    updater: Option<updater::Counters>,
    item_table: item_table::Counters,
    /// Why the last bundle was refused, if it was.
    bundle_refused: Option<String>,
}

impl Counts {
    fn counted(&self) -> Counted {
        Counted {
            service: self.service.metrics.snapshot(),
            updater: self.updater.as_ref().map(updater::Handle::counters),
            item_table: self.items.counters(),
            bundle_refused: self.service.tables.refusal(),
        }
    }

    fn log(&self) {
        let counted = serde_json::to_string(&self.counted());
        tracing::info!(counted = counted.unwrap_or_else(|error| error.to_string()), "so far");
    }

    /// Tells it for ever.
    pub(crate) async fn follow(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.log();
        }
    }

    /// Tells it for the last time.
    pub(crate) fn end(&self, output: Output) -> anyhow::Result<()> {
        self.log();
        match output.json {
            true => output.result(&self.counted(), String::new),
            false => Ok(()),
        }
    }
}
