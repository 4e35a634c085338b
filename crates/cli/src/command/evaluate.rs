//! `twofold evaluate`: held-out events, the real service path, honest baselines. Reads immutable
//! artefacts only, so it runs beside a live service.

use anyhow::Context as _;
use candidates::index::Session;
use record::EventTime;
use runtime::exit::{Code, With};
use tonic::transport::Channel;

use super::{Context, backfill};
use crate::args::EvaluateArgs;
use crate::evaluate::{Baselines, Realm, replay, report, steps};
use crate::import::{self, File};
use crate::output::Progress;

const CLICKSTREAM: &str = "clickstream";

pub(super) async fn run(context: Context, args: EvaluateArgs) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let source = definitions.sources.iter().find(|source| source.name == CLICKSTREAM);
    let source = source
        .ok_or_else(|| anyhow::anyhow!("the definitions have no source {CLICKSTREAM}"))
        .exit(Code::Configuration)?;
    let bytes = std::fs::read(&args.file)
        .with_context(|| format!("file {}", args.file.display()))
        .exit(Code::Data)?;
    let files = [File { path: args.file.clone(), bytes }];
    let parsed = import::read(args.format, source, &files, |_| {});
    let dead_lettered = parsed.dead_letters.len();
    let steps = steps(parsed.events).exit(Code::Data)?;

    let latest = backfill::indexes(&context).latest()?;
    let latest =
        latest.ok_or_else(|| anyhow::anyhow!("no candidate indexes: run `twofold backfill`"))?;
    let cut = EventTime(latest.cut_us);
    let engine = backfill::engine(&context)?;
    let (_, history) = backfill::history(&context, &definitions, &engine).await?;
    // Open sessions count as well: nothing after the cut is in the archive's indexes either.
    let training: Vec<Session> = history.sessions(cut, 0).collect();
    let baselines = Baselines::fit(&training);

    let realm = Realm::open(&context, &definitions).await?;
    let address = format!("http://{}", realm.running.address);
    let channel = Channel::from_shared(address)?.connect().await?;
    let mut progress = Progress::new("evaluating", steps.len() as u64);
    let pool = context.settings.service.k_max;
    let replayed = replay(&channel, &steps, &baselines, pool, |done| progress.add(done)).await;
    drop((progress, channel));
    realm.close().await?;
    let (positions, unknown) = replayed?;
    let report = report(&positions, unknown, dead_lettered);
    context.output.result(&report, || report.text())
}
