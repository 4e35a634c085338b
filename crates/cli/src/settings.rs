//! Settings of the process: defaults < file < environment < flags, checked before anything starts.

use std::path::PathBuf;

use runtime::exit::{Code, With};
use runtime::settings::{Invalid, Layers, Loaded, environment};
use runtime::telemetry;
use serde::{Deserialize, Serialize};

use crate::args::Global;

/// Where built-in definitions are used instead of a directory.
pub(crate) const DEFINITIONS: &str = "./feature-definitions";

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Data directory.
    pub(crate) data: PathBuf,
    /// Definitions directory.
    pub(crate) definitions: PathBuf,
    /// Event log: `embedded`.
    pub(crate) log: String,
    /// Online store: `embedded`.
    pub(crate) store: String,
    /// Partitions of a topic that is created.
    pub(crate) partitions: u32,
    pub(crate) telemetry: telemetry::Settings,
    pub(crate) updater: online::updater::Settings,
    pub(crate) item_table: online::item_table::Settings,
    pub(crate) service: online::service::Settings,
    pub(crate) retriever: models::retriever::Settings,
    pub(crate) ranker: models::ranker::Settings,
    pub(crate) train: Train,
}

/// What a training learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Train {
    /// Share of the events that the ranker learns from, the last ones by whole days; the retriever
    /// learns from those before.
    pub(crate) ranker_share: f64,
    /// Positions of the ranker at most; more are sampled (as served: the newest are kept).
    pub(crate) positions_max: usize,
    /// How long after an answer an event is its outcome, in milliseconds (as served).
    pub(crate) outcome_window_ms: u64,
}

impl Default for Train {
    fn default() -> Self {
        Self { ranker_share: 0.35, positions_max: 60_000, outcome_window_ms: 30 * 60 * 1000 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: "./twofold-data".into(),
            definitions: DEFINITIONS.into(),
            log: "embedded".to_owned(),
            store: "embedded".to_owned(),
            partitions: 4,
            telemetry: telemetry::Settings {
                // The embedded database tells of every table that it opens.
                filter: "info,fjall=warn,lsm_tree=warn".to_owned(),
                ..telemetry::Settings::default()
            },
            updater: online::updater::Settings::default(),
            item_table: online::item_table::Settings::default(),
            service: online::service::Settings::default(),
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

    fn check(&self) -> Result<(), Invalid> {
        adapter("log", &self.log, "kafka://")?;
        adapter("store", &self.store, "redis")?;
        if !(1..=1024).contains(&self.partitions) {
            return Err(Invalid::new("partitions", "is out of range", "give 1 to 1024"));
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
        self.updater.check()?;
        self.item_table.check()?;
        self.service.check()
    }
}

/// Only the embedded pair is there; what others will be called is refused by name.
fn adapter(key: &str, value: &str, other: &str) -> Result<(), Invalid> {
    if value == "embedded" {
        return Ok(());
    }
    let message = match value.starts_with(other) {
        true => format!("is {value:?}, an adapter that this build does not have"),
        false => format!("is {value:?}"),
    };
    Err(Invalid::new(key, message, "use `embedded`"))
}

/// Reads the layers.
pub(crate) fn load(global: &Global) -> anyhow::Result<Loaded<Settings>> {
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
    layers.load(Settings::check).exit(Code::Configuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_absent_adapters_are_refused() {
        assert_eq!(Settings::default().check(), Ok(()));
        let kafka = Settings { log: "kafka://host:9092".to_owned(), ..Settings::default() };
        let invalid = kafka.check().unwrap_err();
        assert_eq!(invalid.key, "log");
        assert!(invalid.message.contains("does not have"), "{}", invalid.message);
        let typo = Settings { store: "embeded".to_owned(), ..Settings::default() };
        assert_eq!(typo.check().unwrap_err().key, "store");
    }
}
