//! `twofold train`: training set, retriever, ranker, bundle; the bundle becomes the active one.

mod as_served;
mod bar;
mod event_time;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use batch::examples::Towers;
use definitions::Definitions;
use fold::Embedding;
use models::bundle::Draft;
use models::{Ranker, Registry, Retriever, TrainingSet};
use record::EventTime;
use runtime::exit::{Code, With};
use serde::Serialize;

use super::{Context, models as registry};
use crate::args::TrainClock;
use bar::EpochBar;

/// What a training made.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Digest of the bundle, which is active now.
    pub(crate) bundle: String,
    /// `event_time` or `as_served`.
    pub(crate) clock: TrainClock,
    /// Digest of the training set.
    pub(crate) training_set: String,
    pub(crate) positions: u64,
    pub(crate) positions_without_target: u64,
    pub(crate) positions_left_out: u64,
    pub(crate) rows: u64,
    pub(crate) inputs_failed: u64,
    /// Answers that could not be learned from, by reason.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    pub(crate) metrics: BTreeMap<String, f64>,
}

pub(super) async fn run(context: Context, clock: TrainClock) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let report = train(&context, &definitions, clock).await?;
    context.output.result(&report, || report.text())
}

/// Trains on what the archive and the last back-fill hold, and makes the bundle the active one.
///
/// # Errors
/// When there is too little to learn from, a set is refused, or the disk fails.
pub(crate) async fn train(
    context: &Context,
    definitions: &Arc<Definitions>,
    clock: TrainClock,
) -> anyhow::Result<Report> {
    let settings = &context.settings;
    context.existing_directory()?;
    let (made, retriever, skipped) = match clock {
        TrainClock::EventTime => {
            let (made, retriever) = event_time::assemble(context, definitions).await?;
            (made, retriever, BTreeMap::new())
        }
        TrainClock::AsServed => {
            let (made, retriever, left_out) = as_served::assemble(context, definitions).await?;
            (made, retriever, left_out.skipped)
        }
    };
    let set = TrainingSet::open(&made.dir)
        .with_context(|| {
            format!("training set {}: remove it, then train again", made.dir.display())
        })
        .exit(Code::Data)?;
    let mut bar = EpochBar::new("ranker", settings.ranker.epochs_max);
    let fitted = tokio::task::block_in_place(|| Ranker::fit(&set, &settings.ranker, &mut bar));
    drop(bar);
    let (ranker, report) = fitted.exit(Code::Data)?;
    let now_us = context.clock.now().0;
    let metrics = report.metrics;
    let draft = Draft::trained(
        &set,
        ranker,
        Some(retriever),
        metrics.clone(),
        settings.ranker.seed,
        now_us,
    );
    let expected = registry::expectation(definitions, &settings.service.model)?;
    let bundles = Registry::at(settings.data.join("models"));
    let bundle = bundles.publish(&draft, &expected, now_us).exit(Code::Data)?;
    Ok(Report {
        bundle,
        clock,
        training_set: made.digest,
        positions: made.positions,
        positions_without_target: made.positions_without_target,
        positions_left_out: made.positions_left_out,
        rows: made.rows,
        inputs_failed: made.inputs_failed,
        skipped,
        metrics,
    })
}

impl Report {
    fn text(&self) -> String {
        let mut text = format!(
            "bundle {} is active; trained on {} positions, {} without their target among the \
             candidates, {} left out",
            self.bundle, self.positions, self.positions_without_target, self.positions_left_out
        );
        for (reason, count) in &self.skipped {
            text.push_str(&format!("\n  skipped, {reason}: {count}"));
        }
        for (name, value) in &self.metrics {
            text.push_str(&format!("\n  {name}: {value:.4}"));
        }
        text
    }
}

/// A retriever as training sets take it.
fn towers(retriever: &Retriever) -> Towers {
    Towers {
        embedding: Arc::new(Vectors(retriever.clone())),
        query: Arc::new({
            let retriever = retriever.clone();
            move |interest: &[f32]| retriever.query(interest)
        }),
        trained_to: EventTime(retriever.trained_to_us()),
    }
}

/// The retriever's vectors as the fold takes them.
struct Vectors(Retriever);

impl Embedding for Vectors {
    fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn vector(&self, item: &str) -> Option<&[f32]> {
        self.0.vector(item)
    }
}
