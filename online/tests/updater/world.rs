//! A data directory with a log, a store, a manual clock and the demo shop's lanes.

use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use definitions::parse::{File, parse};
use event_log::{EventLog, NewRecord};
use online::updater::{self, Handle, Parts, Updater};
use online_store::OnlineStore;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use record::{EventTime, Partition};
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::shutdown::Shutdown;
use tempfile::TempDir;

use crate::events;

pub(crate) const PARTITIONS: u32 = 4;
pub(crate) const START: EventTime = EventTime(1_700_000_000_000_000);

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        vec![$(File {
            path: $path.to_owned(),
            text: include_str!(concat!("../../../feature-definitions/", $path)).to_owned(),
        }),*]
    };
}

pub(crate) fn definition_files() -> Vec<File> {
    files![
        "sources/clickstream.toml",
        "sources/catalog.toml",
        "groups/user_activity.toml",
        "groups/user_interest.toml",
        "groups/item_popularity.toml",
        "groups/item_attributes.toml",
    ]
}

pub(crate) fn lanes() -> Vec<Arc<Lane>> {
    parse(&definition_files()).expect("the demo's definitions are right").lanes()
}

pub(crate) struct World {
    _directory: TempDir,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn OnlineStore>,
    pub(crate) clock: Clock,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) rng: ChaCha8Rng,
    events: u64,
}

/// A store of its own, thrown away with its directory.
pub(crate) fn scratch_store() -> (TempDir, Arc<dyn OnlineStore>) {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&directory);
    let store = online_store::Embedded::open(&database, Default::default()).unwrap();
    (directory, Arc::new(store))
}

fn open(directory: &TempDir) -> embedded::Database {
    let options =
        embedded::Options { sync: embedded::SyncMode::Never, ..embedded::Options::default() };
    embedded::Database::open_with(directory.path(), options).unwrap()
}

impl World {
    /// Topics, but nothing in them.
    pub(crate) async fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory);
        let clock = Clock::manual(START);
        let entropy = Entropy::seeded(seed);
        let settings = event_log::Settings {
            clock: Arc::new({
                let clock = clock.clone();
                move || clock.append_time()
            }),
            entropy: Arc::new(move || entropy.bytes()),
        };
        let log = event_log::Embedded::open(&database, settings).unwrap();
        let store = online_store::Embedded::open(&database, Default::default()).unwrap();
        for topic in ["clickstream", "catalog"] {
            log.create(topic, PARTITIONS).await.unwrap();
        }
        Self {
            _directory: directory,
            log: Arc::new(log),
            store: Arc::new(store),
            clock,
            lanes: lanes(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            events: 0,
        }
    }

    /// Appends about `count` clicks and some catalogue records, while the clock goes on.
    pub(crate) async fn shop(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let n = self.rng.random_range(1..=left.min(40));
            left -= n;
            self.clock.advance(Duration::from_millis(self.rng.random_range(1..30_000)));
            let now = self.clock.now();
            let clicks = events::clicks(&mut self.rng, now, &mut self.events, n);
            self.append("clickstream", clicks).await;
            let items = events::catalogue(&mut self.rng, now, &mut self.events, n / 8);
            self.append("catalog", items).await;
        }
    }

    pub(crate) async fn append(&self, topic: &str, records: Vec<NewRecord>) {
        if !records.is_empty() {
            let outcomes = self.log.append(topic, records).await.unwrap();
            assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        }
    }

    pub(crate) fn parts(&self) -> Parts {
        Parts {
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            lanes: self.lanes.clone(),
            entropy: Entropy::system(),
            clock: self.clock.clone(),
        }
    }

    /// An updater to the log's end, with nothing in its way.
    pub(crate) async fn drain(&self, settings: updater::Settings) -> Handle {
        let (updater, handle) = Updater::open(settings, self.parts()).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
        handle
    }

    pub(crate) fn lane(&self, source: &str, entity: &str) -> Arc<Lane> {
        let found = self.lanes.iter().find(|l| l.source.name == source && l.entity == entity);
        Arc::clone(found.unwrap())
    }
}

pub(crate) fn partitions() -> impl Iterator<Item = Partition> {
    (0..PARTITIONS).map(Partition)
}

/// Small bounds and short pauses, so that every limit is met.
pub(crate) fn settings() -> updater::Settings {
    updater::Settings {
        batch_records: 37,
        poll_wait_ms: 5,
        read_keys: 7,
        retry_limit_ms: 2_000,
        backoff_ms_min: 1,
        backoff_ms_max: 2,
        ..updater::Settings::default()
    }
}

/// A runtime like the process's own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap().block_on(future)
}
