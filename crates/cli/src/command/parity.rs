//! `twofold parity`: replay what was served and compare it byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use batch::Records;
use batch::parity::{self, Bundle, Found, Job, Report};
use candidates::joined_row::Joiner;
use definitions::model::CompiledModel;
use definitions::{Definitions, Lane};
use embedded::Missing;
use fold::Embedding;
use models::Registry;
use online::service::{self, BundleError, Loaded};
use serde::Serialize;

use super::{Context, backfill};
use crate::data::{Data, Opening};
use crate::evaluate;
use crate::output::Outcome;
use crate::watch;

/// What was compared: everything, and by realm.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    #[serde(flatten)]
    sum: Report,
    /// `live`, and `evaluation` where there was one.
    realms: BTreeMap<&'static str, Report>,
}

pub(crate) async fn run(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
) -> anyhow::Result<Outcome> {
    let compared = all(context, data, definitions).await?;
    let Report { mismatched, values, .. } = compared.sum;
    let failed = (mismatched > 0).then(|| format!("{mismatched} of {values} values differ"));
    Ok(Outcome { failed, ..Outcome::new(&compared, compared.text())? })
}

/// Compares what was served live, and what the last evaluation was answered.
///
/// # Errors
/// As [`parity`]; and when somebody has the evaluation's realm.
pub(crate) async fn all(
    context: &Context,
    data: &Data,
    definitions: &Arc<Definitions>,
) -> anyhow::Result<Compared> {
    let mut realms = BTreeMap::from([("live", parity(context, data, definitions).await?)]);
    let directory = evaluate::directory(&context.settings);
    if embedded::exists(&directory)? {
        let opening = Opening { missing: Missing::Refuse, ..Opening::default() };
        let realm = Data::open(&directory, opening, context.clock.clone())?;
        let (frozen, _) = evaluate::frozen(context, definitions, &realm)?;
        let (visitors, items) = (Records::Log(realm.log), Records::Log(Arc::new(frozen)));
        let service = evaluate::service(&context.settings);
        realms.insert("evaluation", compare(context, definitions, visitors, items, service).await?);
    }
    let mut sum = Report::default();
    realms.values().for_each(|report| sum.add(report));
    Ok(Compared { sum, realms })
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
    let log = Records::Log(Arc::clone(&data.log));
    compare(context, definitions, log.clone(), log, context.settings.service.clone()).await
}

async fn compare(
    context: &Context,
    definitions: &Arc<Definitions>,
    records: Records,
    item_records: Records,
    service: service::Settings,
) -> anyhow::Result<Report> {
    let job = job(context, definitions, records, item_records, service)?;
    Ok(parity::run(&backfill::engine(context)?, &job).await?)
}

/// What a comparison needs of a data directory.
///
/// # Errors
/// When the registry cannot be opened.
pub(crate) fn job(
    context: &Context,
    definitions: &Arc<Definitions>,
    records: Records,
    item_records: Records,
    service: service::Settings,
) -> anyhow::Result<Job> {
    let indexes = backfill::indexes(context);
    let registry = Registry::at(context.settings.data.join("models"));
    let (of_bundle, model) = (Arc::clone(definitions), service.model.clone());
    let lanes = definitions.lanes();
    let lanes_of_bundle = lanes.clone();
    Ok(Job {
        records,
        item_records,
        configuration: service.hash(),
        served_topic: service.served_topic,
        lanes,
        per_source: service.per_source,
        indexes: Box::new(move |digest| {
            Ok(indexes.load(digest)?.map(Arc::new).ok_or("indexes_gone"))
        }),
        bundle: Box::new(move |digest| {
            bundle(&of_bundle, &lanes_of_bundle, &model, &registry.dir(digest))
        }),
        watch: watch::followed(&context.follower),
    })
}

/// A bundle of the registry. One that is there and cannot be read would hide what it was used for.
fn bundle(
    definitions: &Definitions,
    lanes: &[Arc<Lane>],
    model: &str,
    directory: &Path,
) -> Result<Found<Arc<dyn Bundle>>, batch::Error> {
    if !directory.is_dir() {
        return Ok(Err("bundle_gone"));
    }
    match Loaded::open(definitions, lanes, model, directory) {
        Ok(loaded) => Ok(Ok(Arc::new(Served(loaded)))),
        Err(error) if error.is_of_other_definitions() => Ok(Err("bundle_of_other_definitions")),
        Err(error) if error.is_of_other_build() => Ok(Err("bundle_of_other_build")),
        Err(BundleError::Bundle(models::bundle::Error::Io { path, source })) => {
            Err(batch::Error::Io { path, source })
        }
        Err(error) => Err(batch::Error::Damaged {
            path: directory.to_owned(),
            what: error.to_string(),
            remedy: "restore the bundle; or remove it, and what it was used for is counted as skipped",
        }),
    }
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

impl Compared {
    fn text(&self) -> String {
        let realms = self.realms.iter().map(|(realm, report)| format!("{realm}: {}", text(report)));
        realms.collect::<Vec<_>>().join("\n")
    }
}

fn text(report: &Report) -> String {
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
