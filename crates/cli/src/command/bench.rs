//! `twofold bench`: speed, one JSON object a line.

mod memory;
mod own;
mod redis_benchmark;
mod serve;
mod update;

use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{EventBatch, Lane};
use fold::workload::{Bench, Workload, single_feature_lanes};
use record::Partition;
use runtime::exit::{Code, With};
use serde_json::json;

use super::Context;
use crate::args::BenchCommand;
use crate::output;

/// The clickstream's name in the demo's definitions.
const SOURCE: &str = "clickstream";
/// Records of a micro-batch.
const BATCH: usize = 8192;
/// Passes of `demo`; the line gives their median.
const PASSES: usize = 5;
/// Batches between two commits.
const COMMIT_EVERY: usize = 8;

pub(super) async fn run(context: Context, command: BenchCommand) -> anyhow::Result<()> {
    match command {
        BenchCommand::Fold { events } => fold(&context, events),
        BenchCommand::Update { events, offered, redis_benchmark } => {
            let wanted = update::Wanted { events, offered, program: redis_benchmark.as_deref() };
            update::run(&context, wanted).await
        }
        BenchCommand::Memory { visitors, events_each } => {
            memory::run(&context, visitors, events_each).await
        }
        BenchCommand::Serve { requests } => serve::run(context, requests).await,
    }
}

fn line(bench: &str, name: &str, value: f64, unit: &str) -> anyhow::Result<()> {
    let line = json!({ "bench": bench, "name": name, "value": value, "unit": unit });
    output::line(&line.to_string())
}

/// Refuses to measure nothing, whose figures would be zeros.
fn at_least_one(flag: &str, count: usize) -> anyhow::Result<()> {
    if count == 0 {
        let refused = anyhow::anyhow!("{flag} 0 measures nothing: give at least 1");
        return Err(refused).exit(Code::Configuration);
    }
    Ok(())
}

fn fold(context: &Context, events: usize) -> anyhow::Result<()> {
    at_least_one("--events", events)?;
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
    // Not measured: the first pass, whose memory the system has yet to find.
    let _ = time(context, &lanes, &batches, Commits::Never);
    let mut passes = [(); PASSES].map(|()| time(context, &lanes, &batches, Commits::Never));
    passes.sort_by(f64::total_cmp);
    let fold_s = passes[PASSES / 2];
    line("fold", "demo", total / fold_s, "events/s/core")?;
    line("fold", "demo-slowest", total / passes[PASSES - 1], "events/s/core")?;
    let committed_s = time(context, &lanes, &batches, Commits::Encoded);
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
        let alone_s = time(context, &[lane], &batches, Commits::Never);
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

/// Seconds of a pass over all batches, from lanes that hold nothing.
fn time(context: &Context, lanes: &[Arc<Lane>], batches: &[EventBatch], commits: Commits) -> f64 {
    let mut bench = Bench::new(lanes, SOURCE);
    let start = context.clock.monotonic();
    for (number, batch) in (1..).zip(batches) {
        bench.step(batch);
        if commits == Commits::Encoded && number % COMMIT_EVERY == 0 {
            bench.commit();
        }
    }
    (context.clock.monotonic() - start).as_secs_f64()
}
