//! `twofold parity`: replay what was served and compare it byte for byte.

use std::sync::Arc;

use batch::Records;
use batch::parity::{self, Bundle, Job, Report};
use candidates::joined_row::Joiner;
use definitions::Definitions;
use definitions::model::CompiledModel;
use fold::Embedding;
use models::Registry;
use online::service::Loaded;

use super::{Context, backfill};
use crate::data::Data;
use crate::watch;

pub(super) async fn run(context: Context) -> anyhow::Result<()> {
    let definitions = context.definitions()?;
    let data = context.open(&definitions).await?;
    let report = parity(&context, &data, &definitions).await?;
    context.output.result(&report, || describe(&report))?;
    match report.mismatched {
        0 => Ok(()),
        count => Err(anyhow::anyhow!("{count} of {} values differ", report.values)),
    }
}

/// Compares every response of topic `served` with the log.
///
/// # Errors
/// When the log cannot be read or a plan fails; a difference is in the report.
pub(crate) async fn parity(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
) -> anyhow::Result<Report> {
    let settings = &context.settings;
    let indexes = backfill::indexes(context);
    let registry = Registry::open(&settings.data.join("models"))?;
    let (of_bundle, model) = (Arc::clone(definitions), settings.service.model.clone());
    let lanes = definitions.lanes();
    let lanes_of_bundle = lanes.clone();
    let job = Job {
        records: Records::Log(Arc::clone(&data.log)),
        served_topic: settings.service.served_topic.clone(),
        lanes,
        configuration: settings.service.hash(),
        per_source: settings.service.per_source,
        indexes: Box::new(move |digest| match indexes.load(digest) {
            Ok(found) => found.map(Arc::new),
            Err(error) => {
                tracing::warn!(%error, "indexes cannot be read");
                None
            }
        }),
        bundle: Box::new(move |digest| {
            match Loaded::open(&of_bundle, &lanes_of_bundle, &model, &registry.dir(digest)) {
                Ok(loaded) => Some(Arc::new(Served(loaded)) as _),
                Err(error) => {
                    tracing::warn!(%error, "bundle cannot be used");
                    None
                }
            }
        }),
        watch: watch::bars(),
    };
    Ok(parity::run(&backfill::engine(context)?, &job).await?)
}

/// A loaded bundle as parity takes it.
struct Served(Loaded);

impl Bundle for Served {
    fn model(&self) -> &CompiledModel {
        &self.0.model
    }

    fn joiner(&self) -> &Joiner {
        &self.0.joiner
    }

    fn embedding(&self) -> Option<Arc<dyn Embedding>> {
        let towers = self.0.towers.clone()?;
        Some(towers)
    }

    fn query(&self, interest: &[f32]) -> Vec<f32> {
        self.0.towers.as_ref().map_or_else(Vec::new, |towers| towers.query(interest))
    }

    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32> {
        self.0.scorer.score(inputs, rows)
    }
}

fn describe(report: &Report) -> String {
    let mut text = format!(
        "{} responses, {} values compared, {} differ",
        report.responses, report.values, report.mismatched
    );
    for (reason, count) in &report.skipped {
        text.push_str(&format!("\n  skipped, {reason}: {count}"));
    }
    for difference in &report.mismatches {
        text.push_str(&format!(
            "\n  served {}/{} ({}): {}: served {}, replayed {}",
            difference.partition,
            difference.offset,
            difference.request_id,
            difference.what,
            difference.served,
            difference.replayed
        ));
    }
    text
}
