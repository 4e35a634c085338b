//! `twofold bench update`: how fast the updater is, and how soon events are visible that come meanwhile.
//!
//! - `drain`: events a second that were in the log before the updater started;
//! - `sustained`: events a second that come while it works, as fast as log and updater together take them. This
//!   is the most that the machine can be offered, for who drains has no events to append beside it;
//! - `load`: the steady rate of what follows, half of `sustained` if nothing else is asked for;
//! - `visible-…`: from when each event was due until every lane had committed it; what of that the log took to
//!   acknowledge it is `acknowledged-…`, and what came after it `visible-after-…`.
//!
//! On Kafka and Redis the raw limits are measured in the same run, with the same records:
//!
//! - `raw-kafka`: a bare consumer of librdkafka reads the topic from its beginning, records a second;
//! - `raw-redis-pipeline`: a client in this process sends as many `SET`s as the drain has written states, as
//!   many a pipeline as a commit has written on average, of as many bytes (key and value) and keys, a
//!   connection a partition; `raw-redis-benchmark`: Redis' own program does the same, where it is named;
//! - `raw-redis`: the faster of these two in records a second, which is `SET`s a second × records drained ÷
//!   states written, since a commit writes each state that its records changed once;
//! - `share`: `drain` ÷ the smaller of `raw-kafka` and `raw-redis`.

use std::path::Path;
use std::sync::Arc;

use batch::Archive;
use event_log::{EventLog, Kafka, NewRecord};
use fold::workload::Workload;
use online::updater::bench::{Drained, Live, Paced, drain};
use online::updater::{self, Parts};
use online_store::{OnlineStore, PlainSets, Redis, RedisSettings};
use record::Partition;
use runtime::entropy::Entropy;
use runtime::exit::{Code, With};
use runtime::shutdown;

use super::own::Own;
use super::{Context, SOURCE, at_least_one, line, redis_benchmark};
use crate::data::{Data, Opening};
use crate::settings::{EMBEDDED, Settings};

/// How long events are offered at a steady rate.
const OFFERED_S: f64 = 5.0;

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Events that are drained.
    pub(super) events: usize,
    /// Events a second whose visibility is measured; half of what is sustained if not said.
    pub(super) offered: Option<u32>,
    /// `redis-benchmark`.
    pub(super) program: Option<&'a Path>,
}

pub(super) async fn run(context: &Context, wanted: Wanted<'_>) -> anyhow::Result<()> {
    let settings = &context.settings;
    let program = wanted.program;
    let refuse = |why: &str| Err(anyhow::anyhow!("{why}")).exit(Code::Configuration);
    at_least_one("--events", wanted.events)?;
    at_least_one("--offered", wanted.offered.map_or(1, |offered| offered as usize))?;
    match (settings.log == EMBEDDED, settings.store == EMBEDDED) {
        (true, true) if program.is_some() => {
            refuse("--redis-benchmark is for --log kafka://… with --store redis://…")
        }
        (true, true) => embedded(context, wanted).await,
        (false, false) => on_servers(context, wanted).await,
        _ => refuse(
            "bench update measures the embedded pair, or Kafka with Redis: give both --log kafka://… and \
             --store redis://…, or neither",
        ),
    }
}

/// What is measured: lanes on a log and a store that nobody else works on.
struct Pair {
    parts: Parts,
    topic: String,
    settings: updater::Settings,
}

impl Pair {
    async fn drain(
        &self,
        context: &Context,
        workload: &mut Workload,
        events: usize,
        suffix: &str,
    ) -> anyhow::Result<Drained> {
        let (settings, parts) = (self.settings.clone(), self.parts.clone());
        let records = new_records(workload, events);
        let drained = drain(settings, parts, &context.clock, &self.topic, records).await?;
        tell(&format!("append{suffix}"), drained.appended_per_s, "events/s")?;
        tell(&format!("drain{suffix}"), drained.events_per_s, "events/s")?;
        tell(&format!("commits{suffix}"), drained.counters.commits as f64, "commits")?;
        Ok(drained)
    }

    /// The same updater with events that come while it works: as fast as they can, then at a steady rate.
    async fn live(
        &self,
        context: &Context,
        workload: &mut Workload,
        wanted: Wanted<'_>,
        suffix: &str,
    ) -> anyhow::Result<()> {
        let (settings, parts) = (self.settings.clone(), self.parts.clone());
        let mut live = Live::start(settings, parts, &context.clock, &self.topic).await?;
        let sustained = live.sustained(new_records(workload, wanted.events)).await?;
        tell(&format!("sustained{suffix}"), sustained, "events/s")?;
        let per_second = wanted.offered.map_or(sustained / 2.0, f64::from);
        let records = new_records(workload, (per_second * OFFERED_S).ceil() as usize);
        let visible = live.visible(Paced { records, per_second }).await?;
        live.stop().await?;
        tell(&format!("load{suffix}"), per_second, "events/s")?;
        for (name, times) in [
            ("visible", visible.since_due),
            ("acknowledged", visible.appended),
            ("visible-after", visible.since_appended),
        ] {
            tell(&format!("{name}-p50{suffix}"), times.ms_p50, "ms")?;
            tell(&format!("{name}-p99{suffix}"), times.ms_p99, "ms")?;
            tell(&format!("{name}-max{suffix}"), times.ms_max, "ms")?;
        }
        tell(&format!("invisible{suffix}"), visible.invisible as f64, "events")
    }
}

/// Twice, in directories of its own: commits as they are (what a power failure takes is computed again),
/// and each commit synced before it is answered.
async fn embedded(context: &Context, wanted: Wanted<'_>) -> anyhow::Result<()> {
    for (suffix, durable_commits) in [("", false), ("-durable", true)] {
        let directory = context.settings.data.join("tmp").join("bench-update");
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        let opening = Opening { durable_commits, ..Opening::default() };
        let data = Data::open(&directory, opening, context.clock.clone())?;
        let measured = embedded_in(context, data, wanted, suffix).await;
        std::fs::remove_dir_all(&directory)?;
        measured?;
    }
    Ok(())
}

async fn embedded_in(
    context: &Context,
    data: Data,
    wanted: Wanted<'_>,
    suffix: &str,
) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    data.create_topics(&definitions, &context.settings).await?;
    let source = definitions.sources.iter().find(|source| source.name == SOURCE);
    let source =
        source.ok_or_else(|| anyhow::anyhow!("the definitions have no source {SOURCE}"))?;
    let parts = data.updater(definitions.lanes());
    let settings = context.settings.updater.clone();
    let pair = Pair { parts, topic: source.topic.clone(), settings };
    let mut workload = Workload::new(fold::workload::Settings::default());
    pair.drain(context, &mut workload, wanted.events, suffix).await?;
    pair.live(context, &mut workload, wanted, suffix).await
}

/// On topics and keys of its own, which are removed however it ends.
async fn on_servers(context: &Context, wanted: Wanted<'_>) -> anyhow::Result<()> {
    let of_store = RedisSettings::from_url(&context.settings.store).exit(Code::Configuration)?;
    if of_store.cluster {
        return Err(anyhow::anyhow!(
            "bench update measures one Redis server beside its own pipelines, no cluster: give --store redis://…"
        ))
        .exit(Code::Configuration);
    }
    if wanted.program.is_some() {
        redis_benchmark::check(&of_store)?;
    }
    let entropy = Entropy::system();
    let own = Own::new(&entropy);
    let settings = own.settings(&context.settings);
    let definitions = context.definitions()?;
    let lanes = own.lanes(&definitions);
    anyhow::ensure!(!lanes.is_empty(), "the definitions have no lane of a source {SOURCE}");
    let kafka = Own::kafka(&settings)?;
    let redis = own.redis(&settings.store).await?;
    let shutdown = shutdown::on_signal()?;
    let archive = Archive::new(settings.data.join("tmp").join("bench-update-has-none"));
    let data = Data {
        log: Arc::clone(&kafka) as Arc<dyn EventLog>,
        store: Arc::new(redis.clone()),
        kafka: Some(Arc::clone(&kafka)),
        redis: Some(redis.clone()),
        archive,
        database: None,
        entropy,
        clock: context.clock.clone(),
    };
    let pair = Pair {
        parts: data.updater(lanes.clone()),
        topic: lanes[0].source.topic.clone(),
        settings: settings.updater.clone(),
    };
    let servers =
        Servers { kafka: &kafka, redis: &redis, of_store: &of_store, settings: &settings };
    let measured = shutdown.unless(servers.measure(context, &pair, wanted)).await;
    let topics = Own::delete_topics(&kafka, &settings, &lanes).await;
    let states = Own::remove_lanes(&redis, &lanes).await;
    let plain = redis.remove_plain().await;
    measured.unwrap_or_else(|| Err(anyhow::anyhow!("stopped before it was done")))?;
    topics.and(states)?;
    plain?;
    Ok(())
}

struct Servers<'a> {
    kafka: &'a Kafka,
    redis: &'a Redis,
    of_store: &'a RedisSettings,
    settings: &'a Settings,
}

impl Servers<'_> {
    async fn measure(
        &self,
        context: &Context,
        pair: &Pair,
        wanted: Wanted<'_>,
    ) -> anyhow::Result<()> {
        let Wanted { events, program, .. } = wanted;
        self.kafka.create(&pair.topic, self.settings.partitions).await?;
        let mut workload = Workload::new(fold::workload::Settings::default());
        let drained = pair.drain(context, &mut workload, events, "").await?;
        let raw = self.kafka.read_raw(&pair.topic).await?;
        let kafka_per_s = raw.records as f64 / raw.took.as_secs_f64().max(1e-9);
        tell("raw-kafka", kafka_per_s, "records/s")?;
        let load = self.plain_sets(pair, &drained).await?;
        tell("state", load.bytes as f64, "bytes/state")?;
        let states_each = drained.counters.states_written as f64 / events as f64;
        tell("states-each", states_each, "states/event")?;
        let took = self.redis.set_plain(load).await?;
        let mut sets_per_s = load.sets as f64 / took.as_secs_f64().max(1e-9);
        tell("raw-redis-pipeline", sets_per_s, "SET/s")?;
        self.redis.remove_plain().await?;
        if let Some(program) = program {
            let prefix = self.redis.plain_prefix();
            let command = redis_benchmark::command(program, self.of_store, &prefix, load);
            let theirs_per_s = redis_benchmark::run(command).await?;
            tell("raw-redis-benchmark", theirs_per_s, "SET/s")?;
            sets_per_s = sets_per_s.max(theirs_per_s);
            self.redis.remove_plain().await?;
        }
        let redis_per_s = sets_per_s / states_each;
        tell("raw-redis", redis_per_s, "records/s")?;
        tell("share", drained.events_per_s / kafka_per_s.min(redis_per_s), "of the slower limit")?;
        pair.live(context, &mut workload, wanted, "").await
    }

    /// `SET`s that are to a server what the drain's states were.
    async fn plain_sets(&self, pair: &Pair, drained: &Drained) -> anyhow::Result<PlainSets> {
        let mut keys = 0;
        for lane in &pair.parts.lanes {
            for partition in (0..self.settings.partitions).map(Partition) {
                self.redis.scan(lane.id, partition, &mut |_, _| keys += 1).await?;
            }
        }
        let counted = drained.counters;
        let each = |total: u64, of: u64| (total as f64 / of.max(1) as f64).round() as usize;
        Ok(PlainSets {
            sets: counted.states_written as usize,
            pipeline: each(counted.states_written, counted.commits).max(1),
            connections: self.settings.partitions as usize,
            keys,
            bytes: each(counted.state_bytes_written, counted.states_written),
        })
    }
}

fn new_records(workload: &mut Workload, count: usize) -> Vec<NewRecord> {
    let records = workload.records(count).into_iter();
    records.map(|record| NewRecord { key: record.key, value: record.value, trace: None }).collect()
}

fn tell(name: &str, value: f64, unit: &str) -> anyhow::Result<()> {
    line("update", name, value, unit)
}
