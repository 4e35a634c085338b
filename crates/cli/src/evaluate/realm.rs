//! The private realm: its own log and store, empty visitor lanes, everything else as it was at the cut.
//!
//! Made of immutable artefacts alone (archive, indexes, bundle), so that it stands beside a live service
//! and leaves nothing there. Its directory stays until the next evaluation: the answers are in its topic
//! `served`, and `twofold parity` compares them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use batch::Extent;
use batch::archive::Frozen;
use candidates::joined_row::ITEM_ENTITY;
use definitions::{Definitions, Lane};
use embedded::SyncMode;
use online::item_table::{self, ItemTable, Version};
use online::service::Tables;
use online::updater::Updater;
use record::{EventTime, Offset};
use runtime::exit::{Code, With};
use runtime::shutdown::Shutdown;
use tokio::net::TcpListener;

use crate::command::{Context, archive, backfill};
use crate::data::{Data, Opening};
use crate::roles::{self, OnDisk, Plan, Running};
use crate::settings::Settings;
use crate::watch;

/// A service over a log of its own.
pub(crate) struct Realm {
    pub(crate) running: Running,
}

/// Where the realm of a data directory's last evaluation is.
pub(crate) fn directory(settings: &Settings) -> PathBuf {
    settings.data.join("evaluation")
}

/// What an evaluation's service is set to: an answer may hold every candidate.
pub(crate) fn service(settings: &Settings) -> online::service::Settings {
    let service = settings.service.clone().evaluation();
    online::service::Settings { k_max: service.pool_max as u32, ..service }
}

impl Realm {
    /// Opens it at the cut of the indexes to serve. Nothing of it is ever synced: it can be made again.
    pub(crate) async fn open(
        context: &Context,
        definitions: &Arc<Definitions>,
    ) -> anyhow::Result<Self> {
        let mut settings = context.settings.clone();
        let tables = Tables::default();
        OnDisk::new(&settings, definitions)?.refresh(&tables, None)?;
        let snapshot = tables.current();
        anyhow::ensure!(snapshot.indexes.is_some(), "no candidate indexes: run `twofold backfill`");
        anyhow::ensure!(snapshot.bundle.is_some(), "no active bundle: run `twofold train`");
        let directory = directory(&settings);
        let data = create(context, &directory)?;
        data.create_topics(definitions, &settings).await?;
        let version = items(context, definitions, &data, &directory).await?;
        settings.service = service(&settings);
        let plan = Plan {
            definitions: Arc::clone(definitions),
            updater: true,
            pinned: Some(ItemTable::pinned(version)),
            tables,
            clock: context.clock.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut running = roles::start(&settings, &data, plan, listener).await?;
        running.ready().await?;
        Ok(Self { running })
    }

    /// Ends it. Every answer must be on record, or parity would prove less than was reported.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let metrics = Arc::clone(&self.running.service.metrics);
        self.running.stop().await?;
        let lost = metrics.snapshot().served_lost();
        anyhow::ensure!(lost == 0, "{lost} answers are not in topic `served` of the realm");
        Ok(())
    }
}

/// An empty directory, opened; what an earlier evaluation left is removed.
fn create(context: &Context, directory: &Path) -> anyhow::Result<Data> {
    let in_use = || format!("private realm {}", directory.display());
    if directory.exists() {
        // Whoever reads it owns it for that time, and is named here.
        drop(Data::open(directory, unsynced(), context.clock.clone()).with_context(in_use)?);
        std::fs::remove_dir_all(directory).with_context(in_use)?;
    }
    Data::open(directory, unsynced(), context.clock.clone()).with_context(in_use)
}

fn unsynced() -> Opening {
    Opening { sync: SyncMode::Never, ..Opening::default() }
}

/// The archive as a log that ends at the cut of the indexes to serve; topics without an archive (and
/// those that are written) are `over`'s.
pub(crate) fn frozen(
    context: &Context,
    definitions: &Definitions,
    over: &Data,
) -> anyhow::Result<(Frozen, EventTime)> {
    let store = backfill::indexes(context);
    let latest = store.latest().exit(Code::Data)?;
    let latest =
        latest.ok_or_else(|| anyhow::anyhow!("no candidate indexes: run `twofold backfill`"))?;
    let indexes = store.load(&latest.digest).exit(Code::Data)?;
    let indexes = indexes.ok_or_else(|| {
        anyhow::anyhow!("indexes {} are gone: run `twofold backfill`", latest.digest)
    })?;
    let archive = archive::of(context);
    let mut topics: BTreeMap<String, Extent> = BTreeMap::new();
    for source in &definitions.sources {
        let known: Vec<Offset> = (0..)
            .map_while(|partition| indexes.positions.get(&(source.topic.clone(), partition)))
            .map(|next| Offset(*next))
            .collect();
        let extent = match known.is_empty() {
            // The counters stand exactly where the indexes do.
            false => archive.extent(&source.topic).map(|found| Extent { ends: known, ..found }),
            true => archive.extent_before(source, EventTime(indexes.cut_us)),
        };
        match extent {
            Ok(extent) => {
                topics.insert(source.topic.clone(), extent);
            }
            // A source that never had a record.
            Err(batch::Error::NoArchive { .. }) => {}
            Err(error) => return Err(error).exit(Code::Data),
        }
    }
    let frozen = Frozen::new(archive, topics, Arc::clone(&over.log));
    Ok((frozen, EventTime(indexes.cut_us)))
}

/// The item table at the cut: the updater's own fold over the archive, into a store beside the realm's.
async fn items(
    context: &Context,
    definitions: &Definitions,
    realm: &Data,
    directory: &Path,
) -> anyhow::Result<Version> {
    let settings = &context.settings;
    let (log, cut) = frozen(context, definitions, realm)?;
    let folded = Data::open(&directory.join("items"), unsynced(), context.clock.clone())?;
    let folded = Data { log: Arc::new(log), ..folded };
    let lanes = definitions.lanes().into_iter();
    let lanes: Vec<Arc<Lane>> = lanes.filter(|lane| lane.entity == ITEM_ENTITY).collect();
    let (updater, handle) =
        Updater::open(settings.updater.clone(), folded.updater(lanes.clone())).await?;
    let watching = tokio::spawn(watch::updater(handle));
    let drained = updater.drain(Shutdown::never()).await;
    watching.abort();
    drained?;
    let parts = item_table::Parts {
        log: Arc::clone(&folded.log),
        store: Arc::clone(&folded.store),
        lanes,
        updater: None,
        clock: context.clock.clone(),
    };
    let second = EventTime(cut.0.div_euclid(1_000_000) * 1_000_000);
    Ok(item_table::load(settings.item_table.clone(), parts, second).await?)
}
