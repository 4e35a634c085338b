//! `twofold bench memory`: what visitors' states take of Redis' memory, written by the updater itself.
//!
//! Visitors come equally often (no Zipf's law), so each has about as many events as is said. The lanes of the
//! clickstream are filled one after the other, from an embedded log of the benchmark's own into keys of its own,
//! and `INFO memory` is asked before and after: `used_memory` less what it was before, and the same of
//! `used_memory_dataset`, by visitor. Items' lanes count as well: they keep what tells copies of a visitor's
//! events. At the end come the interest vectors of one embedding, as `twofold up` writes them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use event_log::NewRecord;
use fold::Embedding;
use fold::workload::Workload;
use online::updater::{Parts, Updater};
use online_store::{Memory, OnlineStore as _, Redis};
use runtime::entropy::Entropy;
use runtime::exit::{Code, With};
use runtime::shutdown::{self, Shutdown};

use super::own::Own;
use super::{BATCH, Context, SOURCE, line};
use crate::data::{Data, Opening};
use crate::settings::EMBEDDED;

const GIB: f64 = (1u64 << 30) as f64;
/// How long after each look at the memory it is looked at again …
const PAUSE: Duration = Duration::from_millis(500);
/// … until it moved by less than this share, or so often.
const RESTS_WITHIN: f64 = 1e-3;
const LOOKS_MAX: u32 = 40;

pub(super) async fn run(
    context: &Context,
    visitors: usize,
    events_each: usize,
) -> anyhow::Result<()> {
    let refuse = |why: &str| Err(anyhow::anyhow!("{why}")).exit(Code::Configuration);
    if context.settings.store == EMBEDDED {
        return refuse("bench memory measures Redis: give --store redis://HOST:PORT");
    }
    if visitors == 0 || events_each == 0 {
        return refuse("--visitors and --events-each: give at least 1");
    }
    let own = Own::new(&Entropy::system());
    let redis = own.redis(&context.settings.store).await?;
    let shutdown = shutdown::on_signal()?;
    let directory = context.settings.data.join("tmp").join("bench-memory");
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    let lanes = context.definitions()?.lanes();
    let lanes: Vec<_> = lanes.into_iter().filter(|lane| lane.source.name == SOURCE).collect();
    anyhow::ensure!(!lanes.is_empty(), "the definitions have no lane of a source {SOURCE}");
    let load = fold::workload::Settings { visitors, exponent: 0.0, ..Default::default() };
    let bench = Bench { context, redis: &redis, lanes: &lanes, load };
    let measured = shutdown.unless(bench.measure(&directory, visitors * events_each)).await;
    let removed = Own::remove_lanes(&redis, &lanes).await;
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    measured.unwrap_or_else(|| Err(anyhow::anyhow!("stopped before it was done")))?;
    removed
}

struct Bench<'a> {
    context: &'a Context,
    redis: &'a Redis,
    lanes: &'a [Arc<Lane>],
    load: fold::workload::Settings,
}

impl Bench<'_> {
    async fn measure(&self, directory: &Path, events: usize) -> anyhow::Result<()> {
        let clock = self.context.clock.clone();
        let data = Data::open(directory, Opening::default(), clock)?;
        self.append(&data, events).await?;
        tell("visitors", self.load.visitors as f64, "visitors")?;
        tell("events", events as f64, "events")?;
        let start = self.rest().await?;
        let (mut before, mut visitors_lane) = (start, None);
        for lane in self.lanes {
            self.fill(&data, lane, Vec::new()).await?;
            let after = self.rest().await?;
            tell(&format!("{}-lane", lane.entity), self.each(before, after).0, "bytes/visitor")?;
            before = after;
            if lane.is_stream_keyed() {
                visitors_lane = Some(lane);
            }
        }
        self.total("", start, before)?;
        tell("resident", self.grown(start.resident, before.resident), "bytes/visitor")?;
        let Some(lane) = visitors_lane else { return Ok(()) };
        // The same states again, and the vectors with them.
        self.redis.remove(lane.id).await?;
        let dimension = self.context.settings.retriever.dimension;
        self.fill(&data, lane, vec![Arc::new(Anything { vector: vec![0.125; dimension] })]).await?;
        tell("dimension", dimension as f64, "f32")?;
        self.total("-with-vectors", start, self.rest().await?)
    }

    async fn append(&self, data: &Data, events: usize) -> anyhow::Result<()> {
        let definitions = self.context.definitions()?;
        data.create_topics(&definitions, &self.context.settings).await?;
        let mut workload = Workload::new(self.load);
        for first in (0..events).step_by(BATCH) {
            let records = workload.records(BATCH.min(events - first)).into_iter();
            let records = records.map(|record| NewRecord {
                key: record.key,
                value: record.value,
                trace: None,
            });
            let topic = &self.lanes[0].source.topic;
            let outcomes = data.log.append(topic, records.collect()).await?;
            outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        Ok(())
    }

    /// Lets an updater write one lane.
    async fn fill(
        &self,
        data: &Data,
        lane: &Arc<Lane>,
        embeddings: Vec<Arc<dyn Embedding>>,
    ) -> anyhow::Result<()> {
        let store = Arc::new(self.redis.clone());
        let parts = Parts { store, ..data.updater(vec![Arc::clone(lane)]) };
        let settings = self.context.settings.updater.clone();
        let (updater, handle) = Updater::open(settings, parts).await?;
        handle.set_embeddings(embeddings);
        Ok(updater.alone().drain(Shutdown::never()).await?)
    }

    /// The memory, once what calls and removals have left behind is gone.
    async fn rest(&self) -> anyhow::Result<Memory> {
        let mut last = self.redis.memory().await?;
        for _ in 0..LOOKS_MAX {
            tokio::time::sleep(PAUSE).await;
            let now = self.redis.memory().await?;
            if now.used.abs_diff(last.used) as f64 <= RESTS_WITHIN * now.used as f64 {
                return Ok(now);
            }
            last = now;
        }
        anyhow::bail!("Redis' memory does not come to rest: does somebody else work on it?")
    }

    fn grown(&self, before: u64, after: u64) -> f64 {
        (after as f64 - before as f64) / self.load.visitors as f64
    }

    /// Bytes by visitor: of the memory that is used, and of what of it is data.
    fn each(&self, before: Memory, after: Memory) -> (f64, f64) {
        (self.grown(before.used, after.used), self.grown(before.dataset, after.dataset))
    }

    fn total(&self, suffix: &str, before: Memory, after: Memory) -> anyhow::Result<()> {
        let (used, dataset) = self.each(before, after);
        tell(&format!("used{suffix}"), used, "bytes/visitor")?;
        tell(&format!("dataset{suffix}"), dataset, "bytes/visitor")?;
        tell(&format!("per-million{suffix}"), used * 1e6 / GIB, "GiB/million visitors")
    }
}

/// An embedding that knows every item; what a vector says does not change its length.
struct Anything {
    vector: Vec<f32>,
}

impl Embedding for Anything {
    fn digest(&self) -> [u8; 32] {
        [0x5a; 32]
    }

    fn dimension(&self) -> usize {
        self.vector.len()
    }

    fn vector(&self, _item: &str) -> Option<&[f32]> {
        Some(&self.vector)
    }
}

fn tell(name: &str, value: f64, unit: &str) -> anyhow::Result<()> {
    line("memory", name, value, unit)
}
