//! `twofold evaluate`: held-out events, the real service path, honest baselines. Reads immutable
//! artefacts only, so it runs beside a live service.

use ::models::Registry;
use anyhow::Context as _;
use candidates::index::Session;
use definitions::Definitions;
use record::EventTime;
use runtime::exit::{Code, With};
use tonic::transport::Channel;

use super::{Context, backfill, models};
use crate::args::EvaluateArgs;
use crate::evaluate::{Baselines, Known, Realm, Replay, Step, report, steps};
use crate::import::{self, File};
use crate::output::Progress;

const CLICKSTREAM: &str = "clickstream";
/// Longest time that steps which are tracked together may span.
const WINDOW_US_MAX: i64 = 60 * 1_000_000;
/// One held-out event in as many may lie before the end of what is known.
const OVERLAP_ONE_IN: usize = 20;

pub(super) async fn run(context: Context, args: EvaluateArgs) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    context.existing_directory()?;
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
    if steps.iter().all(|step| step.target.is_none()) {
        return Err(anyhow::anyhow!(
            "file {}: nothing to evaluate: no session has two events ({dead_lettered} lines are no \
             events)",
            args.file.display()
        ))
        .exit(Code::Data);
    }

    let latest = backfill::indexes(&context).latest()?;
    let latest =
        latest.ok_or_else(|| anyhow::anyhow!("no candidate indexes: run `twofold backfill`"))?;
    let cut = EventTime(latest.cut_us);
    let bundles = Registry::at(context.settings.data.join("models"));
    anyhow::ensure!(bundles.active()?.digest().is_some(), "no active bundle: run `twofold train`");
    let overlap = overlap(&context, &definitions, &steps, cut).exit(Code::Data)?;
    let engine = backfill::engine(&context)?;
    let (_, history) = backfill::history(&context, &definitions, &engine).await?;
    // Open sessions count as well: nothing after the cut is in the archive's indexes either.
    let training: Vec<Session> = history.sessions(cut, 0).collect();
    let baselines = Baselines::fit(&training);
    let targets = || steps.iter().filter_map(|step| step.target.as_deref());
    if !targets().any(|target| baselines.knows(target)) {
        return Err(anyhow::anyhow!(
            "file {}: nothing to evaluate: none of {} targets occurs in training",
            args.file.display(),
            targets().count()
        ))
        .exit(Code::Data);
    }

    let realm = Realm::open(&context, &definitions).await?;
    let address = format!("http://{}", realm.running.address);
    let channel = Channel::from_shared(address)?.connect().await?;
    let mut progress = Progress::new("evaluating", steps.len() as u64);
    let replay = Replay {
        pool: context.settings.service.pool_max as u32,
        // No watermark passes a step's own time, or its answer would be of a later one.
        window_us: (source.allowed_lateness_us / 2).min(WINDOW_US_MAX),
    };
    let replayed = replay.run(&channel, &steps, &baselines, |done| progress.add(done)).await;
    drop((progress, channel));
    realm.close().await?;
    let (positions, unknown) = replayed?;
    let report = report(&positions, &Known { cut, overlap }, unknown, dead_lettered);
    context.output.result(&report, || report.text())
}

/// Held-out events must be unknown to everything that answers: indexes, item counters and model. A
/// split by sessions lets some of them overlap; gives how many held-out events lie before the end of
/// what is known.
fn overlap(
    context: &Context,
    definitions: &Definitions,
    steps: &[Step],
    cut: EventTime,
) -> anyhow::Result<usize> {
    let bundles = Registry::at(context.settings.data.join("models"));
    let expected = models::expectation(definitions, &context.settings.service.model)?;
    let trained_to = bundles.load_active(&expected)?.manifest.trained_to_us;
    let known_to = cut.0.max(trained_to.saturating_add(1));
    let before = steps.iter().filter(|step| step.at_us < known_to).count();
    anyhow::ensure!(
        before * OVERLAP_ONE_IN <= steps.len(),
        "{before} of {} held-out events lie before {known_to} µs since the epoch, which indexes or \
         model know already: evaluate on events after that, or back-fill and train without them",
        steps.len()
    );
    Ok(before)
}
