//! Settings of the process: defaults < file < environment < flags, checked before anything starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use definitions::Definitions;
use documented::Documented;
use online_store::{RedisSettings, RedisSettingsError};
use runtime::exit::{Code, With};
use runtime::settings::{Invalid, Layers, Loaded, Section, environment};
use runtime::telemetry;
use serde::{Deserialize, Serialize};

use crate::args::Global;
use crate::metrics;

/// The adapter in the data directory, for log and store.
pub(crate) const EMBEDDED: &str = "embedded";
/// Where built-in definitions are used instead of a directory.
pub(crate) const DEFINITIONS: &str = "./feature-definitions";

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Data directory.
    pub(crate) data: PathBuf,
    /// Definitions directory.
    pub(crate) definitions: PathBuf,
    /// Event log: `embedded` or `kafka://HOST:PORT[,HOST:PORT…]`.
    pub(crate) log: String,
    /// Online store: `embedded`, `redis://…` or `redis+cluster://…`.
    pub(crate) store: String,
    /// How Kafka is used, where it is the log.
    pub(crate) kafka: Kafka,
    /// Partitions of a topic that is created.
    pub(crate) partitions: u32,
    /// How the log of the process is written.
    pub(crate) telemetry: telemetry::Settings,
    /// The updater's bounds.
    pub(crate) updater: online::updater::Settings,
    /// The item table's bounds and freshness.
    pub(crate) item_table: online::item_table::Settings,
    /// What shapes answers, and the bounds of everything that waits.
    pub(crate) service: online::service::Settings,
    /// Metrics for Prometheus.
    pub(crate) metrics: metrics::Settings,
    /// What a training of the retriever can be told.
    pub(crate) retriever: models::retriever::Settings,
    /// What a training of the ranker can be told.
    pub(crate) ranker: models::ranker::Settings,
    /// What a training learns from.
    pub(crate) train: Train,
}

/// What a training learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Train {
    /// Share of the events that the ranker learns from, the last ones by whole days; the retriever
    /// learns from those before.
    pub(crate) ranker_share: f64,
    /// Positions of the ranker at most; more are sampled (as served: the newest are kept).
    pub(crate) positions_max: usize,
    /// How long after an answer an event is its outcome, in milliseconds (as served).
    pub(crate) outcome_window_ms: u64,
    /// How long before a day begins the indexes that its examples see were cut, in milliseconds: as long
    /// as it takes to publish them (event time).
    pub(crate) publish_lag_ms: u64,
}

/// Widest layer, or vector, of a model; the weights between two such layers take 64 MiB.
const WIDTH_MAX: usize = 4096;
/// Thirty days: indexes that take longer are not made daily.
const PUBLISH_LAG_MS_MAX: u64 = 30 * 86_400_000;

/// How Kafka is used, where it is the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Kafka {
    /// Properties for librdkafka as they are: TLS, SASL, compression.
    pub(crate) properties: BTreeMap<String, String>,
    /// How long one question to the brokers may take.
    pub(crate) request_timeout_ms: u32,
    /// How long an append may take; what is not acknowledged by then gets an error.
    pub(crate) delivery_timeout_ms: u32,
    /// How long a reader may be without records while there are some, before it fails.
    pub(crate) stall_timeout_ms: u32,
    /// How old the last look at a topic's identity may be when its records are handed out.
    pub(crate) identity_age_ms_max: u32,
    /// How long brokers that answer have to say that there is no such topic before it is taken for gone.
    pub(crate) missing_limit_ms: u32,
    /// The consumer group whose members share the updater's work out: one for each store and its
    /// definitions.
    pub(crate) group: String,
    /// How long a member of the group may be silent before others get its partitions.
    pub(crate) session_timeout_ms: u32,
    /// How long a member may leave what the group says unheard before it has to go.
    pub(crate) poll_interval_ms_max: u32,
    /// Of topics that are created: copies of each record.
    pub(crate) replication_factor: u16,
    /// Of topics that are created: copies that must have a record before it is acknowledged.
    pub(crate) min_insync_replicas: u16,
    /// Of topics that are created: how long records are kept; 0: for ever.
    pub(crate) retention_ms: u64,
}

impl Default for Kafka {
    fn default() -> Self {
        let of = event_log::kafka::Settings::new("");
        Self {
            properties: of.properties,
            request_timeout_ms: of.request_timeout_ms,
            delivery_timeout_ms: of.delivery_timeout_ms,
            stall_timeout_ms: of.stall_timeout_ms,
            identity_age_ms_max: of.identity_age_ms_max,
            missing_limit_ms: of.missing_limit_ms,
            group: of.group,
            session_timeout_ms: of.session_timeout_ms,
            poll_interval_ms_max: of.poll_interval_ms_max,
            replication_factor: of.topics.replication_factor,
            min_insync_replicas: of.topics.min_insync_replicas,
            retention_ms: of.topics.retention_ms.unwrap_or(0),
        }
    }
}

impl Kafka {
    /// The adapter's settings for the brokers of a URL.
    ///
    /// # Errors
    /// When it is no URL of Kafka.
    pub(crate) fn at(&self, url: &str) -> Result<event_log::kafka::Settings, event_log::Error> {
        Ok(event_log::kafka::Settings {
            properties: self.properties.clone(),
            request_timeout_ms: self.request_timeout_ms,
            delivery_timeout_ms: self.delivery_timeout_ms,
            stall_timeout_ms: self.stall_timeout_ms,
            identity_age_ms_max: self.identity_age_ms_max,
            missing_limit_ms: self.missing_limit_ms,
            group: self.group.clone(),
            session_timeout_ms: self.session_timeout_ms,
            poll_interval_ms_max: self.poll_interval_ms_max,
            topics: event_log::kafka::TopicSettings {
                replication_factor: self.replication_factor,
                min_insync_replicas: self.min_insync_replicas,
                retention_ms: (self.retention_ms > 0).then_some(self.retention_ms),
            },
            ..event_log::kafka::Settings::from_url(url)?
        })
    }
}

impl Default for Train {
    fn default() -> Self {
        Self {
            ranker_share: 0.35,
            positions_max: 60_000,
            outcome_window_ms: 30 * 60 * 1000,
            publish_lag_ms: 0,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: "./twofold-data".into(),
            definitions: DEFINITIONS.into(),
            log: EMBEDDED.to_owned(),
            store: EMBEDDED.to_owned(),
            kafka: Kafka::default(),
            partitions: 4,
            telemetry: telemetry::Settings {
                // The embedded database tells of every table that it opens.
                filter: "info,fjall=warn,lsm_tree=warn".to_owned(),
                ..telemetry::Settings::default()
            },
            updater: online::updater::Settings::default(),
            item_table: online::item_table::Settings::default(),
            service: online::service::Settings::default(),
            metrics: metrics::Settings::default(),
            retriever: models::retriever::Settings::default(),
            ranker: models::ranker::Settings::default(),
            train: Train::default(),
        }
    }
}

impl Settings {
    /// Whether log or store live in the data directory, which then has one owner.
    pub(crate) fn is_embedded(&self) -> bool {
        self.log == "embedded" || self.store == "embedded"
    }

    /// The topics that are written beside the sources', by their settings.
    fn topics(&self) -> [(&'static str, &str); 3] {
        [
            ("updater.late_topic", &self.updater.late_topic),
            ("updater.dead_letter_topic", &self.updater.dead_letter_topic),
            ("service.served_topic", &self.service.served_topic),
        ]
    }

    /// Whether the settings can be used with these definitions.
    pub(crate) fn check_with(&self, definitions: &Definitions) -> Result<(), Invalid> {
        for (key, topic) in self.topics() {
            if let Some(source) = definitions.sources.iter().find(|source| source.topic == topic) {
                let message = format!("is `{topic}`, where the source `{}` is read", source.name);
                return Err(Invalid::new(key, message, "give it a topic of its own"));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Invalid> {
        for (key, path) in [("data", &self.data), ("definitions", &self.definitions)] {
            if path.as_os_str().is_empty() {
                return Err(Invalid::new(key, "is empty", "name a directory"));
            }
        }
        if self.log != EMBEDDED {
            let wrong = |error: event_log::Error| {
                Invalid::new("log", error.to_string(), "use `embedded` or kafka://HOST:PORT")
            };
            self.kafka.at(&self.log).map_err(wrong)?;
        }
        if self.store != EMBEDDED {
            let wrong = |error: RedisSettingsError| {
                Invalid::new("store", error.to_string(), "use `embedded` or redis://HOST:PORT")
            };
            RedisSettings::from_url(&self.store).map_err(wrong)?;
        }
        if !(1..=1024).contains(&self.partitions) {
            return Err(Invalid::new("partitions", "is out of range", "give 1 to 1024"));
        }
        let topics = self.topics();
        for (nth, (key, topic)) in topics.into_iter().enumerate() {
            if !record::is_topic_name(topic) {
                let remedy = format!("give {}", record::TOPIC_NAME);
                return Err(Invalid::new(key, "is no name of a topic", remedy));
            }
            if let Some((other, _)) = topics[..nth].iter().find(|other| other.1 == topic) {
                let message = format!("is `{topic}`, which is `{other}` too");
                return Err(Invalid::new(key, message, "give each a topic of its own"));
            }
        }
        if let Err(error) = self.telemetry.check() {
            return Err(Invalid::new("telemetry.filter", error.to_string(), "write `info`"));
        }
        if !(self.train.ranker_share > 0.0 && self.train.ranker_share < 1.0) {
            return Err(Invalid::new("train.ranker_share", "is out of range", "give 0.5"));
        }
        if !(1..=i64::MAX as u64 / 1_000_000).contains(&self.train.outcome_window_ms) {
            let remedy = "give milliseconds, such as 1800000";
            return Err(Invalid::new("train.outcome_window_ms", "is out of range", remedy));
        }
        if self.train.publish_lag_ms > PUBLISH_LAG_MS_MAX {
            let remedy = "give milliseconds up to 30 days, such as 3600000";
            return Err(Invalid::new("train.publish_lag_ms", "is out of range", remedy));
        }
        for (key, rate) in [
            ("retriever.learning_rate", self.retriever.learning_rate),
            ("ranker.learning_rate", self.ranker.learning_rate),
        ] {
            if !(rate > 0.0 && rate <= 1.0) {
                return Err(Invalid::new(key, "is out of range", "give more than 0 and at most 1"));
            }
        }
        for (key, share) in [
            ("retriever.validation_share", self.retriever.validation_share),
            ("ranker.validation_share", self.ranker.validation_share),
        ] {
            if !(0.0..=0.5).contains(&share) {
                return Err(Invalid::new(key, "is out of range", "give 0 to 0.5, such as 0.1"));
            }
        }
        let weights = self.ranker.task_weights;
        let is_weight = |weight: &f32| weight.is_finite() && *weight >= 0.0;
        if !weights.iter().all(is_weight) || weights.iter().all(|weight| *weight == 0.0) {
            let remedy = "give numbers from 0 on, at least one of them above it";
            return Err(Invalid::new("ranker.task_weights", "cannot weigh anything", remedy));
        }
        for (key, value) in [
            ("retriever.sharpness", self.retriever.sharpness),
            ("ranker.weight_decay", self.ranker.weight_decay),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Invalid::new(key, "is out of range", "give a number from 0 on"));
            }
        }
        for (key, width) in [
            ("retriever.dimension", self.retriever.dimension),
            ("ranker.hidden", self.ranker.hidden.into_iter().max().unwrap_or(0)),
        ] {
            if width > WIDTH_MAX {
                let message = format!("is {width}, wider than memory is meant for");
                return Err(Invalid::new(key, message, format!("give at most {WIDTH_MAX}")));
            }
        }
        for (key, least) in [
            ("retriever.epochs_max", self.retriever.epochs_max),
            ("retriever.dimension", self.retriever.dimension),
            ("retriever.positions_per_batch", self.retriever.positions_per_batch),
            ("ranker.epochs_max", self.ranker.epochs_max),
            ("ranker.positions_per_batch", self.ranker.positions_per_batch),
            ("ranker.hidden", self.ranker.hidden.into_iter().min().unwrap_or(0)),
        ] {
            if least == 0 {
                return Err(Invalid::new(key, "is out of range", "give at least 1"));
            }
        }
        self.updater.check()?;
        self.item_table.check()?;
        self.metrics.check()?;
        self.service.check()
    }
}

/// The settings' documentation, a section each; "" is what stands before all sections.
pub(crate) const SECTIONS: [Section; 10] = [
    ("", Settings::FIELDS),
    ("kafka", Kafka::FIELDS),
    ("telemetry", telemetry::Settings::FIELDS),
    ("updater", online::updater::Settings::FIELDS),
    ("item_table", online::item_table::Settings::FIELDS),
    ("service", online::service::Settings::FIELDS),
    ("metrics", metrics::Settings::FIELDS),
    ("retriever", models::retriever::Settings::FIELDS),
    ("ranker", models::ranker::Settings::FIELDS),
    ("train", Train::FIELDS),
];

/// Reads the layers; `metrics`: the command's flag of that name.
pub(crate) fn load(global: &Global, metrics: Option<&str>) -> anyhow::Result<Loaded<Settings>> {
    let mut layers = Layers::default().environment(environment());
    if let Some(path) = &global.config {
        layers = layers.read_file(path).exit(Code::Configuration)?;
    }
    let paths =
        [("--data", "data", &global.data), ("--definitions", "definitions", &global.definitions)];
    for (flag, key, path) in paths {
        if let Some(path) = path {
            layers = layers.flag(flag, key, path.display());
        }
    }
    for (flag, key, text) in [("--log", "log", &global.log), ("--store", "store", &global.store)] {
        if let Some(text) = text {
            layers = layers.flag(flag, key, text);
        }
    }
    if let Some(listen) = metrics {
        layers = layers.flag("--metrics", "metrics.listen", listen);
    }
    layers.load(Settings::check).exit(Code::Configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A setting that nobody lists, or a section that is no more.
    #[test]
    fn every_setting_is_listed_with_its_meaning() {
        fn keys(prefix: &str, value: &toml::Value, found: &mut Vec<String>) {
            match value {
                toml::Value::Table(table) if !table.is_empty() => {
                    for (name, value) in table {
                        let key = [prefix, name].join(if prefix.is_empty() { "" } else { "." });
                        keys(&key, value, found);
                    }
                }
                _ => found.push(prefix.to_owned()),
            }
        }
        let loaded = Layers::default().load(Settings::check).unwrap();
        let listing = loaded.listing(&SECTIONS, |_, _| false).unwrap();
        let mut listed: Vec<String> = listing.into_iter().map(|entry| entry.key).collect();
        let mut all = Vec::new();
        keys("", &toml::Value::try_from(Settings::default()).unwrap(), &mut all);
        listed.sort();
        all.sort();
        assert_eq!(listed, all);
    }

    #[test]
    fn defaults_pass_and_adapters_are_named_by_their_urls() {
        assert_eq!(Settings::default().check(), Ok(()));
        let with = |log: &str, store: &str| {
            let (log, store) = (log.to_owned(), store.to_owned());
            Settings { log, store, ..Settings::default() }.check().map_err(|invalid| invalid.key)
        };
        assert_eq!(with("kafka://a:9092,b:9092", "redis://c:6379"), Ok(()));
        assert_eq!(with("embedded", "redis+cluster://c:6379,d:6379"), Ok(()));
        assert_eq!(with("kafka://a", "embedded"), Err("log".to_owned()));
        assert_eq!(with("embeded", "embedded"), Err("log".to_owned()));
        assert_eq!(with("embedded", "memcached://c"), Err("store".to_owned()));
        let mut settings = Settings::default();
        settings.service.served_topic = "what was served".to_owned();
        assert_eq!(settings.check().unwrap_err().key, "service.served_topic");
        settings.service.served_topic = settings.updater.late_topic.clone();
        let invalid = settings.check().unwrap_err();
        assert_eq!(invalid.key, "service.served_topic");
        assert!(invalid.message.contains("updater.late_topic"), "{invalid:?}");
        let mut senseless = Settings::default();
        senseless.ranker.learning_rate = f64::NAN;
        assert_eq!(senseless.check().unwrap_err().key, "ranker.learning_rate");
        senseless = Settings::default();
        senseless.ranker.hidden = [0, 8];
        assert_eq!(senseless.check().unwrap_err().key, "ranker.hidden");
        senseless.ranker.hidden = [WIDTH_MAX + 1, 8];
        assert_eq!(senseless.check().unwrap_err().key, "ranker.hidden");
        for weights in [[f32::NAN, 1.0, 1.0], [0.0; 3], [-1.0, 1.0, 1.0]] {
            senseless = Settings::default();
            senseless.ranker.task_weights = weights;
            assert_eq!(senseless.check().unwrap_err().key, "ranker.task_weights");
        }
        senseless = Settings::default();
        senseless.retriever.sharpness = f32::INFINITY;
        assert_eq!(senseless.check().unwrap_err().key, "retriever.sharpness");
        let lag = |publish_lag_ms| Settings {
            train: Train { publish_lag_ms, ..Train::default() },
            ..Settings::default()
        };
        assert_eq!(lag(PUBLISH_LAG_MS_MAX).check(), Ok(()));
        let beyond = lag(PUBLISH_LAG_MS_MAX + 1).check().unwrap_err();
        assert_eq!(beyond.key, "train.publish_lag_ms");
    }
}
