//! A data directory, opened: the embedded log and store in one database.

use std::collections::BTreeSet;
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
use runtime::exit::{Code, With};

use crate::settings::Settings;

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
        settings: &Settings,
    ) -> anyhow::Result<()> {
        let partitions = settings.partitions;
        for topic in topics(definitions, settings)? {
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

/// The sources' topics and ours. What we write must not come back as events.
///
/// # Errors
/// Two of ours with one name, or one that is a source's.
pub(crate) fn topics<'a>(
    definitions: &'a Definitions,
    settings: &'a Settings,
) -> anyhow::Result<BTreeSet<&'a str>> {
    let mut topics: BTreeSet<&str> =
        definitions.sources.iter().map(|source| source.topic.as_str()).collect();
    let ours = [
        ("updater.late_topic", settings.updater.late_topic.as_str()),
        ("updater.dead_letter_topic", &settings.updater.dead_letter_topic),
        ("service.served_topic", &settings.service.served_topic),
        ("(fixed)", IMPRESSIONS),
    ];
    for (setting, topic) in ours {
        if !topics.insert(topic) {
            return Err(anyhow::anyhow!(
                "setting {setting} is {topic:?}, the topic of a source or of another setting: what \
                 is written there would come back as events; name another"
            ))
            .exit(Code::Configuration);
        }
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_never_comes_back_as_events() {
        let definitions =
            crate::definition_files::load(Path::new(crate::settings::DEFINITIONS)).unwrap();
        let mut settings = Settings::default();
        assert!(topics(&definitions, &settings).unwrap().contains("served"));
        settings.updater.dead_letter_topic = "clickstream".to_owned();
        let error = topics(&definitions, &settings).unwrap_err();
        assert!(error.root_cause().to_string().contains("updater.dead_letter_topic"), "{error:#}");
        settings.updater.dead_letter_topic = "served".to_owned();
        let error = topics(&definitions, &settings).unwrap_err();
        assert!(error.root_cause().to_string().contains("service.served_topic"), "{error:#}");
    }
}
