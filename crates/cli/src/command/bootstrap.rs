//! `twofold bootstrap`: the states of lanes that are new or behind, from archive and log.
//!
//! The updater's own fold and commits, so there is no seam: an `update` goes on exactly where this ends,
//! and would do the same work itself. Run ahead of a change of definitions, it keeps the time short in
//! which a new lane cannot be read. Lanes that are caught up are left to their owner. It works on all
//! partitions whatever updaters have: members of their group may know nothing of a lane that is new.

use std::collections::BTreeSet;
use std::sync::Arc;

use definitions::Lane;
use online::updater::{self, Updater};
use runtime::shutdown;
use serde::Serialize;

use super::Context;
use super::update::{cut_short, ended};
use crate::output::Outcome;
use crate::watch;

/// What a bootstrap did.
#[derive(Debug, Serialize)]
struct Report {
    /// Ids of the lanes that were built or caught up.
    lanes: Vec<String>,
    /// Records read for them.
    records: u64,
    /// Whether all of them are at the end of the log as it was at the start.
    caught_up: bool,
}

pub(super) async fn run(context: Context) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let data = context.open_existing().await?;
    data.create_topics(&definitions, &context.settings).await?;
    let lanes = definitions.lanes();
    let rows = updater::status(&*data.log, &*data.store, &lanes, false).await?;
    let behind: BTreeSet<&str> =
        rows.iter().filter(|row| row.lag > 0).map(|row| row.lane.as_str()).collect();
    let is_behind = |lane: &&Arc<Lane>| behind.contains(lane.id.to_string().as_str());
    let behind: Vec<Arc<Lane>> = lanes.iter().filter(is_behind).cloned().collect();
    let ids = behind.iter().map(|lane| lane.id.to_string()).collect();
    let (updater, handle) =
        Updater::open(context.settings.updater.clone(), data.updater(behind)).await?;
    let watching = tokio::spawn(watch::updater(handle.clone()));
    let draining = updater.alone().drain(shutdown::on_signal()?);
    let drained = data.unless_broken(draining).await;
    watching.abort();
    let stopped = cut_short(drained)?;
    data.settle().await?;
    let records = handle.counters().records;
    let report = Report { lanes: ids, records, caught_up: handle.is_caught_up() };
    let lanes = report.lanes.len();
    let text = match &stopped {
        None => format!("lanes built: {lanes}, from {records} records"),
        Some(_) => format!("{records} records read for {lanes} lanes, not all of which are built"),
    };
    context.output.outcome(&ended(Outcome::new(&report, text)?, stopped))
}
