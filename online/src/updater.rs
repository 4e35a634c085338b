//! The updater: from the log to the online store, exactly once.
//!
//! One task per partition and source reads a micro-batch, decodes it once and lets each lane of the
//! source fold it and commit: changed states, interest vectors (for readers of the store other than the
//! service) and the head (position, watermark, ledger, owner) in one compare-and-swap. The heads in the
//! store are the truth about what is covered; a crash at any point replays from there, and the fold
//! judges the same records the same way. What a lane did not fold is counted in its ledger and kept in
//! a topic of its own.
//!
//! Several updaters share the work out: the log's group says which partitions each of them has
//! ([`event_log::Membership`]). That keeps them out of each other's way and no more; who commits is
//! decided in the store, where the last one to claim a (lane, partition) fences all others.
//!
//! The anatomy: [`Settings`] → [`Updater::open`] → [`Updater::run`], a cheap-clone [`Handle`] to ask
//! and to follow, and [`Error`]. [`status()`] and [`digest()`] look at a store from outside.

pub mod bench;
mod bootstrap;
mod claim;
mod context;
mod counters;
mod crew;
mod digest;
mod elsewhere;
mod error;
mod goal;
mod handle;
mod hint;
mod intake;
mod interest;
mod lag;
mod lane_task;
mod measures;
mod published;
mod retry;
mod settings;
mod share;
mod shared;
mod side_topics;
mod source_partition;
mod status;
mod sweep;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use definitions::{Lane, Source};
use event_log::{EventLog, Membership, Sole, Topic};
use online_store::OnlineStore;
use record::{Offset, Partition};
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::shutdown::Shutdown;
use tokio::sync::{broadcast, watch};

use self::context::Context;
use self::crew::Crew;
use self::retry::{Attempts, retry};
use self::shared::Shared;
use self::source_partition::Until;

pub use self::counters::Counters;
pub use self::digest::{Digest, digest};
pub use self::error::{Error, LogEnd};
pub(crate) use self::goal::Goal;
pub use self::handle::Handle;
pub use self::interest::{decode_vector, encode_vector, vector_key};
pub use self::lag::{Lags, Sample, Sampler};
pub use self::measures::Measures;
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
    /// What the age of records is measured by; nothing else hangs on it.
    pub clock: Clock,
}

/// Keeps the store's lanes equal to the fold over the log.
pub struct Updater {
    context: Arc<Context>,
    sources: Vec<Arc<SourceLanes>>,
    /// Whether it works on all partitions, whatever a group says.
    alone: bool,
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
    /// A topic that is missing, or a log that does not answer for as long as the settings allow.
    pub async fn open(settings: Settings, parts: Parts) -> Result<(Self, Handle), Error> {
        let Parts { log, store, lanes, entropy, clock } = parts;
        let counters = counters::Cells::default();
        // Servers may be on their way up themselves.
        let opening =
            || Attempts::counted(&settings, &entropy, &counters.retries, "looking at the topics");
        let mut sources: BTreeMap<String, SourceLanes> = BTreeMap::new();
        for lane in &lanes {
            let source = &lane.source;
            if !sources.contains_key(&source.name) {
                let topic = opening().until_done(|| log.topic(&source.topic)).await?;
                let bounds = opening().until_done(|| log.bounds(&source.topic)).await?;
                let ends = bounds.iter().map(|bounds| bounds.next).collect();
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
            opening().until_done(|| log.ensure(topic, partitions)).await?;
        }
        let mut slots = BTreeMap::new();
        for source in sources.values() {
            for (lane, partition, end) in source.each() {
                let (held, head, start) = (false, None, Offset(0));
                let progress =
                    Progress { held, head, start, end, caught_up: end == start, reached: None };
                slots.insert((lane.id, partition), watch::channel(progress).0);
            }
        }
        let memory_bytes_each = settings.memory_bytes / slots.len().max(1);
        let read_to = slots.keys().map(|key| (*key, Default::default())).collect();
        let measures = lanes.iter().map(|lane| (lane.id, Default::default())).collect();
        let shared = Arc::new(Shared {
            lanes,
            measures,
            slots,
            read_to,
            counters,
            joined: watch::channel(false).0,
            ended: Default::default(),
            published: broadcast::channel(settings.published_commits).0,
            embeddings: Default::default(),
        });
        let handle = Handle::new(Arc::clone(&shared));
        let context =
            Arc::new(Context { settings, log, store, entropy, clock, shared, memory_bytes_each });
        let sources = sources.into_values().map(Arc::new).collect();
        Ok((Self { context, sources, alone: false }, handle))
    }

    /// Works on every partition, whatever a group says: for lanes that no member of it knows yet. Who else
    /// works on these lanes is fenced.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Claims the lanes of the partitions that it is given, and follows the log until `shutdown`. A
    /// partition that another updater of the group has taken over is counted, and claimed again if the group
    /// says that it is still ours.
    ///
    /// # Errors
    /// The first error of any partition; the others stop after their commit.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        self.run_until(Until::Shutdown, shutdown).await
    }

    /// Covers the log up to its end as of [`Updater::open`], and returns: the partitions that it is given it
    /// works off, and for those that others have it waits, as long as they get on.
    ///
    /// # Errors
    /// As [`Updater::run`]; [`Error::CutShort`] when `shutdown` comes first.
    pub async fn drain(self, shutdown: Shutdown) -> Result<(), Error> {
        self.run_until(Until::End, shutdown).await
    }

    async fn run_until(self, until: Until, shutdown: Shutdown) -> Result<(), Error> {
        let membership = self.join().await?;
        Crew::new(self.context, self.sources.into(), membership, until).run(shutdown).await
    }

    async fn join(&self) -> Result<Box<dyn Membership>, Error> {
        let log = &self.context.log;
        let topics: BTreeSet<&str> =
            self.sources.iter().map(|source| source.source.topic.as_str()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        retry(&self.context, "joining the group", || async {
            match self.alone || topics.is_empty() {
                true => Ok(Box::new(Sole::of(&**log, &topics).await?) as Box<dyn Membership>),
                false => log.join(&topics).await,
            }
        })
        .await
    }
}

impl SourceLanes {
    /// The lanes, and where the log of the partition ended when the updater was opened.
    fn lanes_in(&self, partition: Partition) -> impl Iterator<Item = (&Arc<Lane>, Offset)> {
        let end = self.ends[partition.0 as usize];
        self.lanes.iter().map(move |lane| (lane, end))
    }

    fn each(&self) -> impl Iterator<Item = (&Arc<Lane>, Partition, Offset)> {
        let partitions = (0..self.topic.partitions).map(Partition);
        partitions.flat_map(|partition| {
            self.lanes_in(partition).map(move |(lane, end)| (lane, partition, end))
        })
    }

    /// What has to be covered, whoever does it.
    fn goals(&self) -> impl Iterator<Item = Goal> {
        let goal = |(lane, partition, end): (&Arc<Lane>, _, _)| {
            Goal::new(Arc::clone(lane), partition, self.topic.log, end)
        };
        self.each().map(goal)
    }
}
