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
    /// Fits of the retriever: before the ranker's days, then on all, which is served. None where the
    /// retriever of the active bundle is kept.
    pub(crate) retriever: Vec<RetrieverFit>,
    /// Answers that could not be learned from, by reason.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    pub(crate) metrics: BTreeMap<String, f64>,
}

/// What one fit of the retriever learned from.
#[derive(Debug, Serialize)]
pub(crate) struct RetrieverFit {
    pub(crate) what: &'static str,
    pub(crate) items: usize,
    pub(crate) positions: usize,
    /// Held out to find the number of epochs.
    pub(crate) validated: usize,
    /// Beyond `retriever.positions_max`: the oldest.
    pub(crate) left_out: usize,
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
    let (made, retriever, fits, skipped) = match clock {
        TrainClock::EventTime => {
            let (made, retriever, fits) = event_time::assemble(context, definitions).await?;
            (made, retriever, fits, BTreeMap::new())
        }
        TrainClock::AsServed => {
            let (made, retriever, left_out) = as_served::assemble(context, definitions).await?;
            (made, retriever, Vec::new(), left_out.skipped)
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
        retriever: fits,
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
        if self.inputs_failed > 0 {
            text.push_str(&format!(
                "\n  inputs that failed and count as 0: {}",
                self.inputs_failed
            ));
        }
        for RetrieverFit { what, items, positions, validated, left_out } in &self.retriever {
            text.push_str(&format!(
                "\n  {what}: {items} items, {positions} positions, {validated} held out, {left_out} left out"
            ));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_what_was_left_out() {
        let fit = RetrieverFit {
            what: "retriever, all days",
            items: 3,
            positions: 40,
            validated: 0,
            left_out: 7,
        };
        let report = Report {
            bundle: "b".to_owned(),
            clock: TrainClock::EventTime,
            training_set: String::new(),
            positions: 1,
            positions_without_target: 2,
            positions_left_out: 3,
            rows: 4,
            inputs_failed: 5,
            retriever: vec![fit],
            skipped: [("degraded", 6)].into(),
            metrics: BTreeMap::new(),
        };
        let text = report.text();
        for said in ["2 without", "3 left out", "count as 0: 5", "7 left out", "degraded: 6"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
