//! Topics and keys that a benchmark has for itself, on servers that others use too.

use std::sync::Arc;

use definitions::{Definitions, Lane, Source};
use event_log::Kafka;
use online_store::{OnlineStore, Redis, RedisSettings};
use runtime::entropy::Entropy;
use runtime::exit::{Code, With};

use super::SOURCE;
use crate::settings::Settings;

/// Names that nobody else has: each begins with `bench-` and 16 random hexadecimal digits.
pub(super) struct Own {
    name: String,
}

impl Own {
    pub(super) fn new(entropy: &Entropy) -> Self {
        Self { name: format!("bench-{:016x}", entropy.u64()) }
    }

    /// The settings with names of its own for whatever an updater writes.
    pub(super) fn settings(&self, settings: &Settings) -> Settings {
        let mut own = settings.clone();
        own.updater.late_topic = self.topic(&settings.updater.late_topic);
        own.updater.dead_letter_topic = self.topic(&settings.updater.dead_letter_topic);
        own.kafka.group.clone_from(&self.name);
        own
    }

    /// The lanes of the clickstream, which read a topic of its own.
    pub(super) fn lanes(&self, definitions: &Definitions) -> Vec<Arc<Lane>> {
        let lanes = definitions.lanes();
        let lanes = lanes.iter().filter(|lane| lane.source.name == SOURCE);
        let own = |lane: &Arc<Lane>| {
            let topic = self.topic(&lane.source.topic);
            let source = Arc::new(Source { topic, ..Source::clone(&lane.source) });
            Arc::new(Lane { source, ..Lane::clone(lane) })
        };
        lanes.map(own).collect()
    }

    /// Kafka, as `settings` (its own ones) say.
    pub(super) fn kafka(settings: &Settings) -> anyhow::Result<Arc<Kafka>> {
        let of_log = settings.kafka.at(&settings.log).exit(Code::Configuration)?;
        Ok(Arc::new(Kafka::open(of_log).exit(Code::Configuration)?))
    }

    /// Redis at a URL, with keys of its own.
    pub(super) async fn redis(&self, url: &str) -> anyhow::Result<Redis> {
        let settings = RedisSettings::from_url(url).exit(Code::Configuration)?;
        Ok(Redis::open(RedisSettings { prefix: self.name.clone(), ..settings }).await?)
    }

    /// Deletes the topics that an updater of these lanes uses.
    pub(super) async fn delete_topics(
        kafka: &Kafka,
        settings: &Settings,
        lanes: &[Arc<Lane>],
    ) -> anyhow::Result<()> {
        let sources = lanes.iter().map(|lane| lane.source.topic.as_str());
        let side = [&settings.updater.late_topic, &settings.updater.dead_letter_topic];
        for topic in sources.chain(side.map(String::as_str)) {
            kafka.delete(topic).await?;
        }
        Ok(())
    }

    /// Removes these lanes.
    pub(super) async fn remove_lanes(redis: &Redis, lanes: &[Arc<Lane>]) -> anyhow::Result<()> {
        for lane in lanes {
            redis.remove(lane.id).await?;
        }
        Ok(())
    }

    fn topic(&self, of: &str) -> String {
        format!("{}-{of}", self.name)
    }
}
