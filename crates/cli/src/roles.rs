//! Updater, item table and service in one process, put together and taken down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use batch::indexes::Store;
use candidates::joined_row::ITEM_ENTITY;
use definitions::{Definitions, Lane};
use fold::Embedding;
use models::Registry;
use online::item_table::{self, ItemTable};
use online::service::{self, Loaded, Service, Tables};
use online::updater;
use runtime::clock::Clock;
use runtime::shutdown::{self, Shutdown, Trigger};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::counts::Counts;
use crate::data::Data;
use crate::metrics::Roles;
use crate::settings::Settings;

/// How often indexes and bundle are looked for on the disk.
const LOOK: Duration = Duration::from_secs(1);

/// What is started.
pub(crate) struct Plan {
    pub(crate) definitions: Arc<Definitions>,
    /// Runs the updater, too.
    pub(crate) updater: bool,
    /// Shows this table; `None`: one that follows the store.
    pub(crate) pinned: Option<ItemTable>,
    pub(crate) tables: Tables,
    pub(crate) clock: Clock,
}

/// Roles that run until they are told to stop.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) service: service::Handle,
    pub(crate) updater: Option<updater::Handle>,
    items: ItemTable,
    stop: Trigger,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Starts all of them at once: when it returns the service listens, and says that it is not ready until the
/// lanes have caught up ([`Running::ready`]).
pub(crate) async fn start(
    settings: &Settings,
    data: &Data,
    plan: Plan,
    listener: TcpListener,
) -> anyhow::Result<Running> {
    let (stop, stopped) = shutdown::channel();
    let lanes = plan.definitions.lanes();
    let mut tasks = JoinSet::new();
    let mut updater = None;
    if plan.updater {
        // A pinned table's lanes stand still: the realm's log knows nothing of them.
        let follows = |lane: &&Arc<Lane>| plan.pinned.is_none() || lane.entity != ITEM_ENTITY;
        let followed = lanes.iter().filter(follows).cloned().collect();
        updater = Some(data.open_updater(settings.updater.clone(), followed).await?);
    }
    let handle = updater.as_ref().map(|(_, handle)| handle.clone());
    if let (Some(handle), None) = (&handle, &plan.pinned) {
        // Before its first commit, so that no visitor's vector is missing. Nobody reads a realm's.
        write_vectors(handle, &plan.tables);
    }
    let items = match plan.pinned {
        Some(table) => table,
        None => {
            let parts = item_table::Parts {
                log: Arc::clone(&data.log),
                store: Arc::clone(&data.store),
                lanes: lanes.clone(),
                updater: handle.clone(),
                clock: plan.clock.clone(),
            };
            // Its scan comes before the updater's commits.
            let (table, refresher) = item_table::open(settings.item_table.clone(), parts).await?;
            let stopped = stopped.clone();
            tasks.spawn(async move { Ok(refresher.run(stopped).await?) });
            table
        }
    };
    if let Some((updater, _)) = updater {
        let stopped = stopped.clone();
        tasks.spawn(async move { Ok(updater.run(stopped).await?) });
    }
    let parts = service::Parts {
        log: Arc::clone(&data.log),
        store: Arc::clone(&data.store),
        definitions: plan.definitions,
        lanes,
        item_table: items.clone(),
        tables: plan.tables,
        clock: plan.clock,
        entropy: data.entropy.clone(),
        updater: handle.clone(),
    };
    let (database, ended) = (data.clone(), stopped.clone());
    // Serving on while every event is refused would look healthy to whoever could start it again.
    tasks.spawn(async move {
        match ended.unless(database.broken()).await {
            Some(broken) => Err(broken),
            None => Ok(()),
        }
    });
    let service = Service::new(settings.service.clone(), parts).await?;
    let of_service = service.handle();
    let address = listener.local_addr()?;
    tasks.spawn(async move { Ok(service.serve(listener, stopped).await?) });
    Ok(Running { address, service: of_service, updater: handle, items, stop, tasks })
}

/// Tells the updater whose interest vectors to write.
fn write_vectors(updater: &updater::Handle, tables: &Tables) {
    let towers = tables.current().bundle.as_ref().and_then(|bundle| bundle.towers.clone());
    if let Some(towers) = towers {
        updater.set_embeddings(vec![towers as Arc<dyn Embedding>]);
    }
}

impl Running {
    /// What it counts; they outlive it.
    pub(crate) fn counts(&self) -> Counts {
        let (service, updater) = (self.service.clone(), self.updater.clone());
        Counts { service, updater, items: self.items.clone() }
    }

    /// What metrics are read from.
    pub(crate) fn roles(&self) -> Roles {
        let (service, updater) = (Some(self.service.clone()), self.updater.clone());
        Roles { updater, service, items: Some(self.items.clone()) }
    }

    /// Waits until the lanes have caught up: with indexes, the service then answers.
    ///
    /// # Errors
    /// When a role ends before that.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.service.caught_up() => Ok(()),
            Some(ended) = self.tasks.join_next() => {
                ended??;
                anyhow::bail!("a role ended before the lanes had caught up");
            }
        }
    }

    /// Waits until `shutdown` or until a role fails, then stops all.
    pub(crate) async fn until(mut self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut failed = Ok(());
        tokio::select! {
            () = shutdown.wait() => {}
            Some(ended) = self.tasks.join_next() => failed = ended.map_err(Into::into).and_then(|r| r),
        }
        failed.and(self.stop().await)
    }

    /// Stops all and waits for them.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.shut_down();
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            result = result.and(ended.map_err(Into::into).and_then(|r| r));
        }
        result
    }
}

/// Indexes and bundle on the disk, and what of them is installed.
pub(crate) struct OnDisk {
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) indexes: Store,
    pub(crate) registry: Registry,
    pub(crate) model: String,
    seen_indexes: Option<String>,
    /// Digest of indexes that are named and not there, once that was told.
    missed_indexes: Option<String>,
    seen_bundle: Option<(u64, String)>,
}

impl OnDisk {
    pub(crate) fn new(settings: &Settings, definitions: &Arc<Definitions>) -> anyhow::Result<Self> {
        Ok(Self {
            definitions: Arc::clone(definitions),
            indexes: Store::new(settings.data.join("indexes")),
            registry: Registry::at(settings.data.join("models")),
            model: settings.service.model.clone(),
            seen_indexes: None,
            missed_indexes: None,
            seen_bundle: None,
        })
    }

    /// Installs what changed. A bundle that is refused leaves the old one, or, where nothing serves yet,
    /// the newest earlier one of the registry that is fit to.
    pub(crate) fn refresh(
        &mut self,
        tables: &Tables,
        updater: Option<&updater::Handle>,
    ) -> anyhow::Result<()> {
        if let Some(latest) = self.indexes.latest()?
            && self.seen_indexes.as_ref() != Some(&latest.digest)
        {
            match self.indexes.load(&latest.digest)? {
                Some(indexes) => {
                    tables.install_indexes(indexes);
                    self.seen_indexes = Some(latest.digest);
                }
                None => self.miss_indexes(latest.digest),
            }
        }
        let active = self.registry.active()?;
        if let Some(digest) = active.digest() {
            let now = (active.generation, digest.to_owned());
            if self.seen_bundle.as_ref() != Some(&now) {
                self.seen_bundle = Some(now);
                let opened = self.open(digest);
                if opened.is_err() && tables.current().bundle.is_none() {
                    let earlier = active.history.iter().rev().skip(1);
                    let fit = earlier.filter(|swap| swap.digest != digest);
                    if let Some(bundle) = fit.filter_map(|swap| self.open(&swap.digest).ok()).next()
                    {
                        tables.install_bundle(bundle);
                    }
                }
                // Kept until it is reported: an earlier one that serves needs its vectors written.
                let installed = tables.try_install(opened);
                if let Some(updater) = updater {
                    write_vectors(updater, tables);
                }
                installed?;
            }
        }
        Ok(())
    }

    /// Tells once that they are not there; they are looked for again, for they may be put back.
    fn miss_indexes(&mut self, digest: String) {
        if self.missed_indexes.as_ref() != Some(&digest) {
            let path = self.indexes.file(&digest).display().to_string();
            tracing::warn!(
                path,
                "latest.json names candidate indexes that are missing: run `twofold backfill`, or put them back"
            );
            self.missed_indexes = Some(digest);
        }
    }

    /// Warns of a registry that has bundles and does not say which one serves. Only at the start: whoever
    /// publishes the first bundle writes the pointer after it.
    pub(crate) fn warn_of_lost_pointer(&self) -> anyhow::Result<()> {
        if let Some(path) = self.registry.lost_pointer()? {
            tracing::warn!(
                path = %path.display(),
                "the registry has bundles, but the file that says which one is active is missing: publish \
                 one of them (`twofold models publish DIGEST`, see `twofold models list`)"
            );
        }
        Ok(())
    }

    fn open(&self, digest: &str) -> Result<Loaded, service::BundleError> {
        let (lanes, dir) = (self.definitions.lanes(), self.registry.dir(digest));
        Loaded::open(&self.definitions, &lanes, &self.model, &dir)
    }

    /// Follows the disk for ever.
    pub(crate) async fn follow(mut self, tables: Tables, updater: Option<updater::Handle>) {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = tokio::task::block_in_place(|| self.refresh(&tables, updater.as_ref()));
            let found = looked.err().map(|error| format!("{error:#}"));
            // Damaged indexes are looked at each second, until they are made anew: told once.
            if let Some(error) = found.as_ref().filter(|_| found != told) {
                tracing::error!(%error, "indexes or bundle on the disk");
            }
            told = found;
        }
    }
}

#[cfg(test)]
mod tests;
