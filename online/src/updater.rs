//! The updater: from the log to the online store, exactly once.
//!
//! One task per (source, partition) reads a micro-batch, decodes it once and lets each lane of the
//! source fold it and commit: changed states, interest vectors (for readers of the store other than the
//! service) and the head (position, watermark, ledger, owner) in one compare-and-swap. The heads in the
//! store are the truth about what is covered; a crash at any point replays from there, and the fold
//! judges the same records the same way. What a lane did not fold is counted in its ledger and kept in
//! a topic of its own.
//!
//! The anatomy: [`Settings`] → [`Updater::open`] → [`Updater::run`], a cheap-clone [`Handle`] to ask
//! and to follow, and [`Error`]. [`status()`] and [`digest()`] look at a store from outside.

pub mod bench;
mod bootstrap;
mod claim;
mod context;
mod counters;
mod digest;
mod error;
mod handle;
mod interest;
mod lane_task;
mod published;
mod retry;
mod settings;
mod shared;
mod side_topics;
mod source_partition;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::{Lane, Source};
use event_log::{EventLog, Topic};
use online_store::OnlineStore;
use record::{Offset, Partition};
use runtime::entropy::Entropy;
use runtime::shutdown::{self, Shutdown};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

use self::context::Context;
use self::shared::Shared;
use self::source_partition::Until;

pub use self::counters::Counters;
pub use self::digest::{Digest, digest};
pub use self::error::Error;
pub use self::handle::Handle;
pub use self::interest::{decode_vector, encode_vector, vector_key};
pub use self::published::{Published, States};
pub use self::settings::Settings;
pub use self::shared::Progress;
pub use self::status::{LaneStatus, status};

/// What an updater works with.
#[derive(Clone)]
pub struct Parts {
    /// Where events come from.
    pub log: Arc<dyn EventLog>,
    /// Where states go.
    pub store: Arc<dyn OnlineStore>,
    /// The lanes to keep up to date; lanes of other definitions in the store are left alone.
    pub lanes: Vec<Arc<Lane>>,
    /// Owner tokens and jitter come from it: the system's, so that no restored copy can repeat one.
    pub entropy: Entropy,
}

/// Keeps the store's lanes equal to the fold over the log.
pub struct Updater {
    context: Arc<Context>,
    sources: Vec<SourceLanes>,
}

/// A source, its topic and the lanes that fold it.
struct SourceLanes {
    source: Arc<Source>,
    topic: Topic,
    ends: Vec<Offset>,
    lanes: Vec<Arc<Lane>>,
}

impl Updater {
    /// Looks at the topics (which must exist; those of late records and dead letters are created)
    /// and claims nothing yet.
    ///
    /// # Errors
    /// A topic that is missing, or a log that does not answer.
    pub async fn open(settings: Settings, parts: Parts) -> Result<(Self, Handle), Error> {
        let Parts { log, store, lanes, entropy } = parts;
        let mut sources: BTreeMap<String, SourceLanes> = BTreeMap::new();
        for lane in &lanes {
            let source = &lane.source;
            if !sources.contains_key(&source.name) {
                let topic = log.topic(&source.topic).await?;
                let ends = log.bounds(&source.topic).await?.iter().map(|b| b.next).collect();
                let source = Arc::clone(source);
                sources.insert(
                    source.name.clone(),
                    SourceLanes { source, topic, ends, lanes: Vec::new() },
                );
            }
            sources.get_mut(&source.name).expect("just inserted").lanes.push(Arc::clone(lane));
        }
        let partitions = sources.values().map(|source| source.topic.partitions).max().unwrap_or(1);
        for topic in [&settings.late_topic, &settings.dead_letter_topic] {
            match log.topic(topic).await {
                Err(event_log::Error::NoTopic { .. }) => log.create(topic, partitions).await?,
                found => found?,
            };
        }
        let mut slots = BTreeMap::new();
        for source in sources.values() {
            for (lane, partition, end) in source.each() {
                let progress =
                    Progress { head: None, start: Offset(0), end, caught_up: end == Offset(0) };
                slots.insert((lane.id, partition), watch::channel(progress).0);
            }
        }
        let memory_bytes_each = settings.memory_bytes / slots.len().max(1);
        let shared = Arc::new(Shared {
            lanes,
            slots,
            counters: counters::Cells::default(),
            published: broadcast::channel(settings.published_commits).0,
            embeddings: Default::default(),
        });
        let handle = Handle::new(Arc::clone(&shared));
        let context =
            Arc::new(Context { settings, log, store, entropy, shared, memory_bytes_each });
        Ok((Self { context, sources: sources.into_values().collect() }, handle))
    }

    /// Claims every lane and follows the log until `shutdown`.
    ///
    /// # Errors
    /// The first error of any partition; the others stop after their commit.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        self.run_until(Until::Shutdown, shutdown).await
    }

    /// Claims every lane, covers the log up to its end as of [`Updater::open`], and returns.
    ///
    /// # Errors
    /// As [`Updater::run`].
    pub async fn drain(self, shutdown: Shutdown) -> Result<(), Error> {
        self.run_until(Until::End, shutdown).await
    }

    async fn run_until(self, until: Until, shutdown: Shutdown) -> Result<(), Error> {
        let (stop, stopped) = shutdown::channel();
        let mut tasks = JoinSet::new();
        for source in &self.sources {
            for partition in 0..source.topic.partitions {
                let task = self.claim(source, Partition(partition)).await?;
                tasks.spawn(bootstrap::run(task, until, stopped.clone()));
            }
        }
        let mut result = Ok(());
        loop {
            let joined = tokio::select! {
                biased;
                () = shutdown.wait(), if !stopped.requested() => {
                    stop.shut_down();
                    continue;
                }
                joined = tasks.join_next() => joined,
            };
            let Some(joined) = joined else { return result };
            let ended = joined.unwrap_or_else(|error| Err(Error::Panicked(error.to_string())));
            if let Err(error) = ended {
                tracing::error!(%error, "a partition stopped: stopping the updater");
                stop.shut_down();
                result = result.and(Err(error));
            }
        }
    }
}

impl SourceLanes {
    fn each(&self) -> impl Iterator<Item = (&Arc<Lane>, Partition, Offset)> {
        let partitions = 0..self.topic.partitions;
        partitions.flat_map(move |partition| {
            let end = self.ends[partition as usize];
            self.lanes.iter().map(move |lane| (lane, Partition(partition), end))
        })
    }
}
