//! A data directory, opened: the embedded log and store in one database.

use std::path::Path;
use std::sync::Arc;

use batch::archive::{Archive, Tiered};
use definitions::{Definitions, Lane};
use embedded::crash::CrashPoint;
use embedded::{Database, Options, SyncMode};
use event_log::EventLog;
use online_store::OnlineStore;
use runtime::clock::Clock;
use runtime::entropy::Entropy;

/// Topic of what the service answered.
pub(crate) const SERVED: &str = "served";
/// Topic of what clients say was seen.
pub(crate) const IMPRESSIONS: &str = "impressions";

/// The opened directory and what all commands hand down.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn OnlineStore>,
    pub(crate) archive: Archive,
    pub(crate) entropy: Entropy,
}

/// How to open it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opening {
    pub(crate) sync: SyncMode,
    pub(crate) crash_at: Option<CrashPoint>,
    /// Syncs each commit of the store; the log is always synced as `sync` says.
    pub(crate) durable_commits: bool,
}

impl Data {
    /// Opens or creates the directory; fails naming the owner if another process has it.
    pub(crate) fn open(directory: &Path, opening: Opening, clock: Clock) -> anyhow::Result<Self> {
        let options = Options {
            sync: opening.sync,
            crash_at: opening.crash_at,
            started_ms: Some(clock.append_time().0),
            ..Options::default()
        };
        let database = Database::open_with(directory, options)?;
        let entropy = Entropy::system();
        let settings = event_log::Settings {
            clock: Arc::new({
                let clock = clock.clone();
                move || clock.append_time()
            }),
            entropy: Arc::new({
                let entropy = entropy.clone();
                move || entropy.bytes()
            }),
        };
        let log = event_log::Embedded::open(&database, settings)?;
        let settings = online_store::Settings { durable_commits: opening.durable_commits };
        let store = online_store::Embedded::open(&database, settings)?;
        let archive = Archive::new(directory.join("archive"));
        Ok(Self { log: Arc::new(log), store: Arc::new(store), archive, entropy })
    }

    /// Creates the topics that definitions and service need, where they are missing.
    pub(crate) async fn create_topics(
        &self,
        definitions: &Definitions,
        updater: &online::updater::Settings,
        partitions: u32,
    ) -> anyhow::Result<()> {
        let sources = definitions.sources.iter().map(|source| source.topic.as_str());
        let ours = [&*updater.late_topic, &*updater.dead_letter_topic, SERVED, IMPRESSIONS];
        for topic in sources.chain(ours) {
            match self.log.topic(topic).await {
                Err(event_log::Error::NoTopic { .. }) => self.log.create(topic, partitions).await?,
                found => found?,
            };
        }
        Ok(())
    }

    /// What the updater works with; what the log has dropped comes from the archive.
    pub(crate) fn updater(&self, lanes: Vec<Arc<Lane>>) -> online::updater::Parts {
        online::updater::Parts {
            log: Arc::new(Tiered::new(self.archive.clone(), Arc::clone(&self.log))),
            store: Arc::clone(&self.store),
            lanes,
            entropy: self.entropy.clone(),
        }
    }
}
