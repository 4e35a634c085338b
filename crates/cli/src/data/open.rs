//! Which log and which store: the embedded pair in one database, Kafka, Redis, or one of each.

use std::path::Path;
use std::sync::Arc;

use batch::Archive;
use embedded::crash::CrashPoint;
use embedded::{Database, Missing, Options, SyncMode};
use event_log::{EventLog, Kafka};
use online_store::{OnlineStore, Redis, RedisSettings};
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::exit::{Code, With};

use super::Data;
use crate::settings::{EMBEDDED, Settings};

/// How the embedded database is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opening {
    pub(crate) missing: Missing,
    pub(crate) sync: SyncMode,
    pub(crate) crash_at: Option<CrashPoint>,
    /// Syncs each commit of the store; the log is always synced as `sync` says.
    pub(crate) durable_commits: bool,
}

impl Data {
    /// Log and store as the settings name them. Fails naming the owner if the data directory's
    /// database is wanted and another process has it; with Kafka and Redis there is no owner. Fails as
    /// well where the log has lost what the directory's archive still has.
    pub(crate) async fn connect(
        settings: &Settings,
        opening: Opening,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let is_embedded = |adapter: &str| adapter == EMBEDDED;
        let archive = Archive::new(settings.data.join("archive"));
        if is_embedded(&settings.log) {
            log_is_there(&settings.data, &archive)?;
        }
        if is_embedded(&settings.log) && is_embedded(&settings.store) {
            let data = Self::open(&settings.data, opening, clock)?;
            archive.check(&*data.log).await?;
            return Ok(data);
        }
        let database = match is_embedded(&settings.log) || is_embedded(&settings.store) {
            true => Some(database(&settings.data, &opening, &clock)?),
            false => None,
        };
        let entropy = Entropy::system();
        let mut kafka = None;
        let log: Arc<dyn EventLog> = match database.as_ref().filter(|_| is_embedded(&settings.log))
        {
            Some(database) => Arc::new(log(database, &clock, &entropy)?),
            None => {
                let of_log = settings.kafka.at(&settings.log).exit(Code::Configuration)?;
                let opened = Arc::new(Kafka::open(of_log).exit(Code::Configuration)?);
                kafka = Some(Arc::clone(&opened));
                opened
            }
        };
        let mut redis = None;
        let store: Arc<dyn OnlineStore> =
            match database.as_ref().filter(|_| is_embedded(&settings.store)) {
                Some(database) => Arc::new(store(database, &opening)?),
                None => {
                    let of_store = RedisSettings::from_url(&settings.store);
                    let opened = Redis::open(of_store.exit(Code::Configuration)?).await?;
                    redis = Some(opened.clone());
                    Arc::new(opened)
                }
            };
        archive.check(&*log).await?;
        Ok(Self { log, store, kafka, redis, archive, database, entropy, clock })
    }

    /// Opens or creates a directory with the embedded pair; fails naming the owner if another process
    /// has it.
    pub(crate) fn open(directory: &Path, opening: Opening, clock: Clock) -> anyhow::Result<Self> {
        let database = database(directory, &opening, &clock)?;
        let entropy = Entropy::system();
        let log = Arc::new(log(&database, &clock, &entropy)?);
        let store = Arc::new(store(&database, &opening)?);
        let archive = Archive::new(directory.join("archive"));
        let database = Some(database);
        Ok(Self { log, store, kafka: None, redis: None, archive, database, entropy, clock })
    }
}

/// A database that was lost is not made anew beside what was archived of it.
fn log_is_there(directory: &Path, archive: &Archive) -> anyhow::Result<()> {
    if !embedded::exists(directory)? {
        archive.check_without_log()?;
        event_log::check_without_database(directory)?;
    }
    Ok(())
}

fn database(directory: &Path, opening: &Opening, clock: &Clock) -> anyhow::Result<Database> {
    let options = Options {
        missing: opening.missing,
        sync: opening.sync,
        crash_at: opening.crash_at,
        started_ms: Some(clock.append_time().0),
        ..Options::default()
    };
    Ok(Database::open_with(directory, options)?)
}

fn log(
    database: &Database,
    clock: &Clock,
    entropy: &Entropy,
) -> anyhow::Result<event_log::Embedded> {
    let (clock, entropy) = (clock.clone(), entropy.clone());
    let settings = event_log::Settings {
        clock: Arc::new(move || clock.append_time()),
        entropy: Arc::new(move || entropy.bytes()),
    };
    Ok(event_log::Embedded::open(database, settings)?)
}

fn store(database: &Database, opening: &Opening) -> anyhow::Result<online_store::Embedded> {
    let settings = online_store::Settings { durable_commits: opening.durable_commits };
    Ok(online_store::Embedded::open(database, settings)?)
}
