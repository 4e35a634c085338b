//! `twofold backfill`: from the archive's Parquet to what training and serving need: visitors'
//! sequences and the candidate indexes to serve. Reads no log, so it runs beside a live service.

use std::path::PathBuf;

use batch::history::History;
use batch::plan::{Engine, EngineSettings};
use batch::{Records, indexes};
use definitions::Definitions;
use fold::Ledger;
use record::EventTime;
use runtime::exit::{Code, With};
use serde::Serialize;

use super::{Context, archive};
use crate::watch;

/// What a back-fill made.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Admitted events that name an item.
    pub(crate) events: u64,
    /// Admitted events that name none, which no sequence and no index knows.
    pub(crate) without_item: u64,
    /// What became of each record of the archive.
    pub(crate) ledger: Ledger,
    /// Visitors.
    pub(crate) sequences: u64,
    /// Items.
    pub(crate) items: usize,
    /// Digest of the indexes to serve.
    pub(crate) indexes: String,
    /// They know what happened before this, in microseconds since the epoch.
    pub(crate) cut_us: i64,
}

pub(super) async fn run(context: Context) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let report = backfill(&context, &definitions).await?;
    context.output.result(&report, || {
        let Ledger { duplicate, late, dead_lettered, .. } = report.ledger;
        format!(
            "{} events of {} visitors and {} items; indexes {}\n  of {} records left out: {duplicate} \
             duplicate, {late} late, {dead_lettered} dead letters, {} without an item",
            report.events,
            report.sequences,
            report.items,
            report.indexes,
            report.ledger.read(),
            report.without_item
        )
    })
}

/// Where visitors' sequences are.
pub(crate) fn sequences(context: &Context) -> PathBuf {
    context.settings.data.join("training").join("sequences.parquet")
}

/// Where indexes are.
pub(crate) fn indexes(context: &Context) -> indexes::Store {
    indexes::Store::new(context.settings.data.join("indexes"))
}

/// The engine of batch jobs; sorts spill into the data directory's disk, if there is one.
pub(crate) fn engine(context: &Context) -> anyhow::Result<Engine> {
    let directory = &context.settings.data;
    let spill = match directory.is_dir() {
        true => directory.join("tmp"),
        false => std::env::temp_dir().join("twofold"),
    };
    Ok(Engine::new(&EngineSettings { spill_dir: Some(spill), ..EngineSettings::default() })?)
}

/// The history that the archive holds.
///
/// # Errors
/// When there is no archive, or it is damaged.
pub(crate) async fn history(
    context: &Context,
    definitions: &Definitions,
    engine: &Engine,
) -> anyhow::Result<(Records, History)> {
    context.existing_directory()?;
    let records = Records::Archive(archive::of(context));
    let history = History::read(engine, &records, definitions, watch::bars()).await?;
    Ok((records, history))
}

/// What to say of an archive without an event that counts.
fn nothing(ledger: &Ledger) -> String {
    let Ledger { applied, duplicate, late, dead_lettered } = ledger;
    let read = ledger.read();
    if read == 0 {
        return "the archive holds no event: import some and run `twofold archive`".to_owned();
    }
    format!(
        "the archive holds no event that counts: of {read} records {applied} were applied, {duplicate} are \
         duplicates, {late} late, {dead_lettered} dead letters: `twofold dead-letters list` says why"
    )
}

/// Writes sequences and the indexes to serve.
///
/// # Errors
/// When there is nothing in the archive, or it or the disk fail.
pub(crate) async fn backfill(
    context: &Context,
    definitions: &Definitions,
) -> anyhow::Result<Report> {
    let (_, history) = history(context, definitions, &engine(context)?).await?;
    let found = indexes::of_everything(&history)
        .ok_or_else(|| anyhow::anyhow!(nothing(&history.ledger)))
        .exit(Code::Data)?;
    let store = indexes(context);
    store.set_latest(&found, &indexes::Archived::of(&history))?;
    let path = sequences(context);
    std::fs::create_dir_all(path.parent().expect("it lies in a directory"))?;
    let sequences = history.write_sequences(&path, EventTime(i64::MAX))?;
    Ok(Report {
        events: history.events.len() as u64,
        without_item: history.without_item,
        ledger: history.ledger,
        sequences,
        items: history.items.len(),
        indexes: found.digest_hex(),
        cut_us: found.cut_us,
    })
}
