//! `twofold bench`: speed, one JSON object a line.

mod serve;

use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{EventBatch, Lane};
use event_log::NewRecord;
use fold::workload::{Bench, Workload, single_feature_lanes};
use online::updater;
use record::Partition;
use serde_json::json;

use super::Context;
use crate::args::BenchCommand;
use crate::data::{Data, Opening};
use crate::output;

/// The clickstream's name in the demo's definitions.
const SOURCE: &str = "clickstream";
/// Records of a micro-batch.
const BATCH: usize = 8192;
/// Batches between two commits.
const COMMIT_EVERY: usize = 8;
/// Appended one by one to see how long each takes to become visible.
const PROBES: usize = 200;

pub(super) async fn run(context: Context, command: BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Fold { events } => fold(&context, events),
        BenchCommand::Update { events } => update(&context, events).await,
        BenchCommand::Serve { requests } => serve::run(context, requests).await,
    }
}

fn line(bench: &str, name: &str, value: f64, unit: &str) -> anyhow::Result<()> {
    let line = json!({ "bench": bench, "name": name, "value": value, "unit": unit });
    output::line(&line.to_string())
}

fn fold(context: &Context, events: usize) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let lanes = definitions.lanes();
    let source = definitions.sources.iter().find(|source| source.name == SOURCE);
    let source =
        source.ok_or_else(|| anyhow::anyhow!("the definitions have no source {SOURCE}"))?;
    let decoder = Decoder::new(Arc::clone(source), Partition(0), 1);
    let mut workload = Workload::new(fold::workload::Settings::default());
    let records: Vec<_> = (0..events.div_ceil(BATCH)).map(|_| workload.records(BATCH)).collect();
    let total = records.iter().map(Vec::len).sum::<usize>() as f64;

    let start = context.clock.monotonic();
    let batches: Vec<EventBatch> = records.iter().map(|records| decoder.decode(records)).collect();
    let decode_s = (context.clock.monotonic() - start).as_secs_f64();
    let mut bench = Bench::new(&lanes, SOURCE);
    let fold_s = time(context, &mut bench, &batches, Commits::Never);
    line("fold", "demo", total / fold_s, "events/s/core")?;
    let mut bench = Bench::new(&lanes, SOURCE);
    let committed_s = time(context, &mut bench, &batches, Commits::Encoded);
    line("fold", "demo-encoded", total / committed_s, "events/s/core")?;
    line("fold", "demo-json", total / (fold_s + decode_s), "events/s/core")?;
    line("fold", "decode", total / decode_s, "events/s/core")?;
    let mut bench = Bench::new(&lanes, SOURCE);
    for batch in &batches {
        bench.step(batch);
    }
    for (entity, keys, bytes) in bench.entity_bytes() {
        line("fold", &format!("{entity}-keys"), keys as f64, "keys")?;
        line("fold", &format!("{entity}-bytes"), bytes, "bytes/key")?;
    }
    let clickstream = lanes.iter().filter(|lane| lane.source.name == SOURCE);
    for (name, lane) in clickstream.flat_map(|lane| single_feature_lanes(lane)) {
        let lanes: [Arc<Lane>; 1] = [lane];
        let mut bench = Bench::new(&lanes, SOURCE);
        let alone_s = time(context, &mut bench, &batches, Commits::Never);
        line("fold", &name, total / alone_s, "events/s/core")?;
    }
    Ok(())
}

/// Whether changed states are encoded every [`COMMIT_EVERY`] batches, as for a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Commits {
    Never,
    Encoded,
}

fn time(context: &Context, bench: &mut Bench, batches: &[EventBatch], commits: Commits) -> f64 {
    let start = context.clock.monotonic();
    for (number, batch) in (1..).zip(batches) {
        bench.step(batch);
        if commits == Commits::Encoded && number % COMMIT_EVERY == 0 {
            bench.commit();
        }
    }
    (context.clock.monotonic() - start).as_secs_f64()
}

/// Twice, in directories of its own: commits as they are (what a power failure takes is computed again),
/// and each commit synced before it is answered.
async fn update(context: &Context, events: usize) -> anyhow::Result<()> {
    for (suffix, durable_commits) in [("", false), ("-durable", true)] {
        let directory = context.settings.data.join("tmp").join("bench-update");
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        let opening = Opening { durable_commits, ..Opening::default() };
        let data = Data::open(&directory, opening, context.clock.clone())?;
        let measured = update_in(context, data, events, suffix).await;
        std::fs::remove_dir_all(&directory)?;
        measured?;
    }
    Ok(())
}

async fn update_in(
    context: &Context,
    data: Data,
    events: usize,
    suffix: &str,
) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    data.create_topics(&definitions, &context.settings).await?;
    let settings = fold::workload::Settings::default();
    let mut workload = Workload::new(settings);
    let mut next = |count| {
        let records = workload.records(count).into_iter();
        records
            .map(|record| NewRecord { key: record.key, value: record.value, trace: None })
            .collect()
    };
    let load = updater::bench::Load {
        topic: SOURCE.to_owned(),
        records: next(events),
        probes: next(PROBES),
    };
    let parts = data.updater(definitions.lanes());
    let updater = context.settings.updater.clone();
    let report = updater::bench::bench(updater, parts, &context.clock, load).await?;
    let tell = |name: &str, value, unit| line("update", &format!("{name}{suffix}"), value, unit);
    tell("append", report.appended_per_s, "events/s")?;
    tell("drain", report.events_per_s, "events/s")?;
    tell("commits", report.counters.commits as f64, "commits")?;
    tell("visible-p50", report.visible_ms_p50, "ms")?;
    tell("visible-p99", report.visible_ms_p99, "ms")?;
    tell("invisible", report.invisible as f64, "events")?;
    Ok(())
}
