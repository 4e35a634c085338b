//! `twofold train`: retriever, training set, ranker, bundle; the bundle becomes the active one.
//!
//! The retriever is fitted on the earlier days, the ranker's spine lies strictly after them, and each
//! day's examples see the indexes of the day before: nothing that is learned from knows its label.

use std::collections::BTreeMap;
use std::sync::Arc;

use batch::examples::{self, Towers};
use definitions::{Definitions, Operation};
use fold::Embedding;
use models::bundle::Draft;
use models::{Epoch, Ranker, Registry, Retriever, Sequences, TrainingSet};
use record::EventTime;
use runtime::exit::{Code, With};
use serde::Serialize;

use super::{Context, backfill, models as registry};
use crate::output::Progress;
use crate::watch;

/// What a training made.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Digest of the bundle, which is active now.
    pub(crate) bundle: String,
    /// Digest of the training set.
    pub(crate) training_set: String,
    pub(crate) positions: u64,
    pub(crate) positions_without_target: u64,
    pub(crate) positions_left_out: u64,
    pub(crate) rows: u64,
    pub(crate) inputs_failed: u64,
    pub(crate) metrics: BTreeMap<String, f64>,
}

pub(super) async fn run(context: Context) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let report = train(&context, &definitions).await?;
    context.output.result(&report, || {
        let mut text = format!(
            "bundle {} is active; trained on {} positions, {} without their target among the \
             candidates, {} left out",
            report.bundle,
            report.positions,
            report.positions_without_target,
            report.positions_left_out
        );
        for (name, value) in &report.metrics {
            text.push_str(&format!("\n  {name}: {value:.4}"));
        }
        text
    })
}

/// Trains on what the archive and the last back-fill hold, and makes the bundle the active one.
///
/// # Errors
/// When there is too little to learn from, a set is refused, or the disk fails.
pub(crate) async fn train(context: &Context, definitions: &Definitions) -> anyhow::Result<Report> {
    let settings = &context.settings;
    let engine = backfill::engine(context)?;
    let (records, history) = backfill::history(context, definitions, &engine).await?;
    let spine_from = history
        .split(settings.train.ranker_share)
        .ok_or_else(|| {
            anyhow::anyhow!(
                "all events lie in one day: a training needs a day before, which indexes and vectors \
                 are made of; import more"
            )
        })
        .exit(Code::Data)?;

    let sequences = Sequences::read(&backfill::sequences(context)).exit(Code::Data)?;
    let mut of_retriever = settings.retriever.clone();
    of_retriever.half_life_us = half_life_us(definitions).unwrap_or(of_retriever.half_life_us);
    let mut bar = EpochBar::new("retriever", of_retriever.epochs_max);
    let fitted = tokio::task::block_in_place(|| {
        Retriever::fit(&sequences.until(spine_from.0 - 1), &of_retriever, &mut bar)
    });
    drop(bar);
    let (retriever, _) = fitted.exit(Code::Data)?;

    let towers = Towers {
        embedding: Arc::new(Vectors(retriever.clone())),
        query: Arc::new({
            let retriever = retriever.clone();
            move |interest: &[f32]| retriever.query(interest)
        }),
        trained_to: EventTime(retriever.trained_to_us()),
    };
    let of_set = examples::Settings {
        model: settings.service.model.clone(),
        spine_from,
        positions_max: settings.train.positions_max,
        per_source: settings.service.per_source,
        pool_max: settings.service.pool_max,
        ..examples::Settings::default()
    };
    let (root, bars) = (settings.data.join("training"), watch::bars());
    let made = examples::assemble(
        &engine,
        &records,
        definitions,
        &history,
        &backfill::indexes(context),
        &root,
        Some(&towers),
        &of_set,
        &*bars,
    )
    .await?;
    drop(bars);

    let set = TrainingSet::open(&made.dir).exit(Code::Data)?;
    let mut bar = EpochBar::new("ranker", settings.ranker.epochs_max);
    let fitted = tokio::task::block_in_place(|| Ranker::fit(&set, &settings.ranker, &mut bar));
    drop(bar);
    let (ranker, report) = fitted.exit(Code::Data)?;

    // The ranker has learned what a nearest vector is worth from vectors that did not know its labels.
    // Served are vectors of the same make that know every day, since the newest say most.
    let of_served = models::retriever::Settings { validation_share: 0.0, ..of_retriever };
    let mut bar = EpochBar::new("retriever, all days", of_served.epochs_max);
    let fitted = tokio::task::block_in_place(|| Retriever::fit(&sequences, &of_served, &mut bar));
    drop(bar);
    let (retriever, _) = fitted.exit(Code::Data)?;
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
    let bundles = Registry::open(&settings.data.join("models"))?;
    let bundle = bundles.publish(&draft, &expected, now_us).exit(Code::Data)?;
    Ok(Report {
        bundle,
        training_set: made.digest,
        positions: made.positions,
        positions_without_target: made.positions_without_target,
        positions_left_out: made.positions_left_out,
        rows: made.rows,
        inputs_failed: made.inputs_failed,
        metrics,
    })
}

/// The half-life of the definitions' interest vector: the retriever must be fitted to what is served.
fn half_life_us(definitions: &Definitions) -> Option<i64> {
    let lanes = definitions.lanes();
    lanes.iter().flat_map(|lane| &lane.features).find_map(|feature| match feature.operation {
        Operation::InterestVector { half_life_us, .. } => Some(half_life_us),
        _ => None,
    })
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

/// A bar over the batches of all epochs.
struct EpochBar {
    bar: Progress,
    epochs_max: usize,
}

impl EpochBar {
    fn new(what: &str, epochs_max: usize) -> Self {
        Self { bar: Progress::new(what, 0), epochs_max }
    }
}

impl models::Progress for EpochBar {
    fn batch(&mut self, _: &'static str, epoch: usize, done: usize, of: usize) {
        let (epoch, done, of) = (epoch as u64, done as u64, of as u64);
        self.bar.set((epoch - 1) * of + done, self.epochs_max as u64 * of);
    }

    fn epoch(&mut self, epoch: &Epoch) {
        let shown =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        self.bar.message(format!(
            "{} {}: loss {:.4}, held-out loss {}, hit rate at 20 {}",
            epoch.model,
            epoch.epoch,
            epoch.train_loss,
            shown(epoch.validation_loss),
            shown(epoch.hit_rate_20)
        ));
    }
}
