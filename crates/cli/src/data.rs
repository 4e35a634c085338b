//! What commands work on: a log, a store, and the data directory with the artefacts.

mod open;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use batch::archive::{Archive, Tiered};
use definitions::{Definitions, Lane};
use embedded::Database;
use event_log::{EventLog, Kafka};
use online::updater::Updater;
use online_store::{OnlineStore, Redis};
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::exit::{Code, With};

use crate::settings::Settings;

pub(crate) use open::Opening;

/// Topic of what clients say was seen.
pub(crate) const IMPRESSIONS: &str = "impressions";

/// Log, store and archive, which all commands hand down.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn OnlineStore>,
    /// The log's adapter, where it is Kafka: its topics have settings of their own.
    pub(crate) kafka: Option<Arc<Kafka>>,
    /// The store's adapter, where it is Redis: it has breakers to look at.
    pub(crate) redis: Option<Redis>,
    pub(crate) archive: Archive,
    /// The embedded database, where log or store lie in one.
    pub(crate) database: Option<Database>,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
}

impl Data {
    /// Creates the topics that definitions and service need, where they are missing.
    pub(crate) async fn create_topics(
        &self,
        definitions: &Definitions,
        settings: &Settings,
    ) -> anyhow::Result<()> {
        for topic in topics(definitions, settings)? {
            self.log.ensure(topic, settings.partitions).await?;
        }
        Ok(())
    }

    /// Waits until the embedded database takes no more writes, which only a new start can mend; for ever
    /// where there is none.
    pub(crate) async fn broken(&self) -> anyhow::Error {
        const EVERY: Duration = Duration::from_millis(500);
        loop {
            tokio::time::sleep(EVERY).await;
            if self.database.as_ref().is_some_and(Database::is_poisoned) {
                return anyhow::anyhow!(
                    "the database takes no more writes since one of them failed: free space on its \
                     disk or mend it, then start again; nothing acknowledged is lost"
                );
            }
        }
    }

    /// Works until `work` ends or the database takes no more writes, which `work` may not meet: what it wrote
    /// last may have been answered before the disk refused it.
    ///
    /// # Errors
    /// The work's own; that of [`Data::broken`].
    pub(crate) async fn unless_broken<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> anyhow::Result<T>
    where
        E: Into<anyhow::Error>,
    {
        tokio::select! {
            biased;
            done = work => done.map_err(Into::into),
            broken = self.broken() => Err(broken),
        }
    }

    /// Makes everything durable that the embedded database was given, if there is one.
    ///
    /// # Errors
    /// When its disk refuses it, or has refused something before.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let Some(database) = self.database.clone() else { return Ok(()) };
        Ok(tokio::task::spawn_blocking(move || database.sync_all()).await??)
    }

    /// An updater on this log and store. Where one of them lies in the directory, nobody else can work for
    /// it, so it is in no group: it would take partitions from those who share another store.
    pub(crate) async fn open_updater(
        &self,
        settings: online::updater::Settings,
        lanes: Vec<Arc<Lane>>,
    ) -> anyhow::Result<(Updater, online::updater::Handle)> {
        let (updater, handle) = Updater::open(settings, self.updater(lanes)).await?;
        Ok(match self.database {
            Some(_) => (updater.alone(), handle),
            None => (updater, handle),
        })
    }

    /// What the updater works with; what the log has dropped comes from the archive.
    pub(crate) fn updater(&self, lanes: Vec<Arc<Lane>>) -> online::updater::Parts {
        online::updater::Parts {
            log: Arc::new(Tiered::new(self.archive.clone(), Arc::clone(&self.log))),
            store: Arc::clone(&self.store),
            lanes,
            entropy: self.entropy.clone(),
            clock: self.clock.clone(),
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
        ("setting updater.late_topic", settings.updater.late_topic.as_str()),
        ("setting updater.dead_letter_topic", &settings.updater.dead_letter_topic),
        ("setting service.served_topic", &settings.service.served_topic),
        ("what clients say was seen", IMPRESSIONS),
    ];
    for (whose, topic) in ours {
        if !topics.insert(topic) {
            let source = definitions.sources.iter().find(|source| source.topic == topic);
            let (place, other) = match source {
                Some(source) => {
                    let place = format!("{}:{}: ", source.file, source.line);
                    (place, format!("source `{}`", source.name))
                }
                None => (String::new(), "another setting".to_owned()),
            };
            return Err(anyhow::anyhow!(
                "{place}the topic `{topic}` of {other} is that of {whose} too: what is written there \
                 would come back as events; name another"
            ))
            .exit(Code::Configuration);
        }
    }
    Ok(topics)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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
