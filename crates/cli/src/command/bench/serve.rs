//! `twofold bench serve`: Recommend over loopback gRPC on what the data directory holds.
//!
//! Nothing of it stays: the answers are recorded as they always are, but in an embedded log of the benchmark's
//! own, which is removed. In topic `served` they would be learned from and compared.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use definitions::Definitions;
use event_log::EventLog;
use online::service::Tables;
use online::service::bench::{self, Apart, Load, Phase};
use record::{Offset, Partition};
use tokio::net::TcpListener;
use tonic::transport::Channel;

use super::{Context, SOURCE, at_least_one, line};
use crate::data::{Data, Opening};
use crate::roles::{self, OnDisk, Plan};

/// Candidates of a request at most; each source may give as many.
const CANDIDATES: usize = 500;
/// Items of an answer.
const K: u32 = 20;
/// Visitors that are asked for.
const VISITORS: usize = 500;

pub(super) async fn run(mut context: Context, requests: usize) -> anyhow::Result<()> {
    at_least_one("--requests", requests)?;
    context.settings.service.pool_max = CANDIDATES;
    context.settings.service.per_source = CANDIDATES;
    let definitions = context.definitions()?;
    let data = context.open_existing().await?;
    let directory = context.settings.data.join("tmp").join("bench-serve");
    remove(&directory)?;
    let phases = measure(&context, definitions, data, &directory, requests).await;
    remove(&directory)?;
    phases?.iter().try_for_each(tell)
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(())
}

/// Records what it serves in `directory`, which must not exist.
async fn measure(
    context: &Context,
    definitions: Arc<Definitions>,
    data: Data,
    directory: &Path,
    requests: usize,
) -> anyhow::Result<Vec<Phase>> {
    let visitors = visitors(&data, &definitions).await?;
    let tables = Tables::default();
    OnDisk::new(&context.settings, &definitions)?.refresh(&tables, None)?;
    let snapshot = tables.current();
    anyhow::ensure!(
        snapshot.indexes.is_some() && snapshot.bundle.is_some(),
        "no indexes or no bundle in {}: run `twofold demo` or `backfill` and `train` first",
        context.settings.data.display()
    );
    let clock = context.clock.clone();
    let data = served_apart(context, data, directory).await?;
    let plan = Plan { definitions, updater: true, pinned: None, tables, clock: clock.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut running = roles::start(&context.settings, &data, plan, listener).await?;
    running.ready().await?;
    let channel = Channel::from_shared(format!("http://{}", running.address))?.connect().await?;
    let load = Load { visitors, k: K, requests };
    let phases = bench::run(&channel, &running.service, &clock, &load).await;
    drop(channel);
    running.stop().await?;
    Ok(phases)
}

/// The same data, but that topic `served` is written in `directory`.
async fn served_apart(context: &Context, data: Data, directory: &Path) -> anyhow::Result<Data> {
    let own = Data::open(directory, Opening::default(), context.clock.clone())?;
    let topic = context.settings.service.served_topic.clone();
    own.log.create(&topic, context.settings.partitions).await?;
    let log: Arc<dyn EventLog> =
        Arc::new(Apart { log: Arc::clone(&data.log), topic, aside: own.log });
    Ok(Data { log, ..data })
}

fn tell(phase: &Phase) -> anyhow::Result<()> {
    let name = phase.name;
    line("serve", &format!("{name}-p50"), phase.p50_us / 1000.0, "ms")?;
    line("serve", &format!("{name}-p99"), phase.p99_us / 1000.0, "ms")?;
    line("serve", &format!("{name}-rate"), phase.answers_per_s, "answers/s")?;
    line("serve", &format!("{name}-clients"), phase.clients as f64, "clients")?;
    line("serve", &format!("{name}-candidates"), phase.candidates, "candidates/answer")?;
    line("serve", &format!("{name}-refused"), phase.refused as f64, "requests")?;
    for (tier, count) in &phase.tiers {
        line("serve", &format!("{name}-{tier}"), *count as f64, "answers")?;
    }
    for (stage, latency) in &phase.stages {
        line("serve", &format!("{name}-{stage}-p50"), latency.p50_us / 1000.0, "ms")?;
        line("serve", &format!("{name}-{stage}-p99"), latency.p99_us / 1000.0, "ms")?;
    }
    Ok(())
}

/// Visitors of the clickstream's first records.
async fn visitors(data: &Data, definitions: &Definitions) -> anyhow::Result<Vec<String>> {
    let source = definitions.sources.iter().find(|source| source.name == SOURCE);
    let source =
        source.ok_or_else(|| anyhow::anyhow!("the definitions have no source {SOURCE}"))?;
    let mut reader = data.log.reader(&source.topic, Partition(0), Offset(0)).await?;
    let records = reader.next(20 * VISITORS, Duration::ZERO).await?;
    let ids: BTreeSet<String> =
        records.iter().map(|record| String::from_utf8_lossy(&record.key).into_owned()).collect();
    anyhow::ensure!(!ids.is_empty(), "the log holds no visitor: run `twofold demo` first");
    Ok(ids.into_iter().take(VISITORS).collect())
}
