//! The private realm: its own log and store, empty visitor lanes, everything else as it was at the cut.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use definitions::Definitions;
use embedded::SyncMode;
use online::item_table::{self, ItemTable};
use online::service::Tables;
use record::EventTime;
use tokio::net::TcpListener;

use crate::command::Context;
use crate::data::{Data, Opening};
use crate::roles::{self, OnDisk, Plan, Running};

/// A service over a log of its own.
pub(crate) struct Realm {
    pub(crate) running: Running,
    directory: PathBuf,
}

impl Realm {
    /// Opens it beside the live directory, of which it takes the artefacts and the item table at
    /// `cut`. Nothing of it is ever synced: it is thrown away.
    pub(crate) async fn open(
        context: &Context,
        live: &Data,
        definitions: &Arc<Definitions>,
        cut: EventTime,
    ) -> anyhow::Result<Self> {
        let mut settings = context.settings.clone();
        let directory = settings.data.join("tmp").join("evaluation");
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        let tables = Tables::default();
        OnDisk::new(&settings, definitions)?.refresh(&tables, None)?;
        let snapshot = tables.current();
        anyhow::ensure!(snapshot.indexes.is_some(), "no candidate indexes: run `twofold backfill`");
        anyhow::ensure!(snapshot.bundle.is_some(), "no active bundle: run `twofold train`");
        let parts = item_table::Parts {
            log: Arc::clone(&live.log),
            store: Arc::clone(&live.store),
            lanes: definitions.lanes(),
            updater: None,
            clock: context.clock.clone(),
        };
        let second = EventTime(cut.0.div_euclid(1_000_000) * 1_000_000);
        let version = item_table::load(settings.item_table.clone(), parts, second).await?;
        settings.service = settings.service.evaluation();
        let opening = Opening { sync: SyncMode::Never, crash_at: None };
        let data = Data::open(&directory, opening, context.clock.clone())
            .with_context(|| format!("private realm {}", directory.display()))?;
        data.create_topics(definitions, &settings.updater, settings.partitions).await?;
        let plan = Plan {
            definitions: Arc::clone(definitions),
            updater: true,
            pinned: Some(ItemTable::pinned(version)),
            tables,
            clock: context.clock.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let running = roles::start(&settings, &data, plan, listener).await?;
        Ok(Self { running, directory })
    }

    /// Ends it and removes its directory.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.running.stop().await?;
        std::fs::remove_dir_all(&self.directory)?;
        Ok(())
    }
}
