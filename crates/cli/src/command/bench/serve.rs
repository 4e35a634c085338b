//! `twofold bench serve`: Recommend over loopback gRPC on what the data directory holds.

use std::collections::BTreeSet;
use std::time::Duration;

use definitions::Definitions;
use online::service::Tables;
use record::{Offset, Partition};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Context, SOURCE, line};
use crate::data::Data;
use crate::demo::{Burst, Clients, burst};
use crate::roles::{self, OnDisk, Plan, Running};

/// Candidates of a request at most; each source may give as many.
const CANDIDATES: usize = 500;
/// Requests at once that saturate a small machine.
const SATURATING: usize = 8;
/// Requests before anything is measured.
const WARM_UP: usize = 50;
/// Visitors that are asked for.
const VISITORS: usize = 500;

pub(super) async fn run(mut context: Context, requests: usize) -> anyhow::Result<()> {
    context.settings.service.pool_max = CANDIDATES;
    context.settings.service.per_source = CANDIDATES;
    let definitions = context.definitions()?;
    let data = context.open(&definitions).await?;
    let visitors = visitors(&data, &definitions).await?;
    let clock = context.clock.clone();

    let (running, clients) = start(&context, &data, &visitors).await?;
    let alone = burst(&clients, &clock, &visitors, requests, 1).await?;
    tell("one-client", &alone, running).await?;

    let (running, clients) = start(&context, &data, &visitors).await?;
    let full = burst(&clients, &clock, &visitors, requests, SATURATING).await?;
    tell("saturated", &full, running).await?;

    let (running, clients) = start(&context, &data, &visitors).await?;
    let half = paced(&clients, &context, &visitors, requests, full.per_s / 2.0).await?;
    tell("half", &half, running).await
}

async fn start(
    context: &Context,
    data: &Data,
    visitors: &[String],
) -> anyhow::Result<(Running, Clients)> {
    let definitions = context.definitions()?;
    let tables = Tables::default();
    OnDisk::new(&context.settings, &definitions)?.refresh(&tables, None)?;
    let snapshot = tables.current();
    anyhow::ensure!(
        snapshot.indexes.is_some() && snapshot.bundle.is_some(),
        "no indexes or no bundle in {}: run `twofold demo` or `backfill` and `train` first",
        context.settings.data.display()
    );
    let clock = context.clock.clone();
    let plan = Plan { definitions, updater: true, pinned: None, tables, clock };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let running = roles::start(&context.settings, data, plan, listener).await?;
    let clients = Clients::connect(running.address).await?;
    burst(&clients, &context.clock, visitors, WARM_UP, 1).await?;
    Ok((running, clients))
}

/// Requests at a steady rate, whether earlier ones were answered or not.
async fn paced(
    clients: &Clients,
    context: &Context,
    visitors: &[String],
    requests: usize,
    per_s: f64,
) -> anyhow::Result<Burst> {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_s.max(1.0)));
    let mut tasks = JoinSet::new();
    let start = context.clock.monotonic();
    for number in 0..requests {
        ticks.tick().await;
        let (mut clients, clock) = (clients.clone(), context.clock.clone());
        let visitor = visitors[number % visitors.len()].clone();
        tasks.spawn(async move { clients.recommend(&clock, &visitor, 20, Vec::new()).await });
    }
    let answers = tasks.join_all().await;
    let took = context.clock.monotonic() - start;
    Ok(Burst::of(answers, took))
}

async fn tell(name: &str, burst: &Burst, running: Running) -> anyhow::Result<()> {
    let metrics = running.service.metrics.snapshot();
    running.stop().await?;
    line("serve", &format!("{name}-p50"), burst.p50_ms, "ms");
    line("serve", &format!("{name}-p99"), burst.p99_ms, "ms");
    line("serve", &format!("{name}-rate"), burst.per_s, "requests/s");
    line("serve", &format!("{name}-failed"), burst.failed as f64, "requests");
    for (tier, count) in &burst.tiers {
        line("serve", &format!("{name}-{tier}"), *count as f64, "answers");
    }
    for (stage, latency) in &metrics.stages {
        line("serve", &format!("{name}-{stage}-p50"), latency.p50_us / 1000.0, "ms");
        line("serve", &format!("{name}-{stage}-p99"), latency.p99_us / 1000.0, "ms");
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
