//! The clock *event time*: positions out of the history, each with what was known just before it.
//!
//! The retriever is fitted on the earlier days, the ranker's spine lies strictly after them, and each
//! day's examples see the indexes of the day before: nothing that is learned from knows its label.

use batch::examples;
use batch::history::verify_sequences;
use definitions::Definitions;
use models::{Retriever, Sequences};
use online::service::interest_half_life_us;
use runtime::exit::{Code, With};

use super::bar::EpochBar;
use super::{RetrieverFit, towers};
use crate::command::{Context, backfill};
use crate::watch;

/// Assembles the set; what comes with it is the retriever to serve, and what both fits learned from.
pub(super) async fn assemble(
    context: &Context,
    definitions: &Definitions,
) -> anyhow::Result<(examples::Report, Retriever, Vec<RetrieverFit>)> {
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
    let path = backfill::sequences(context);
    anyhow::ensure!(path.exists(), "no sequences to learn from: run `twofold backfill`");
    verify_sequences(&path)?;
    let sequences = Sequences::read(&path).exit(Code::Data)?;
    let mut of_retriever = settings.retriever.clone();
    // Fitted to what is served.
    if let Some(served_us) = interest_half_life_us(definitions) {
        of_retriever.half_life_us = served_us;
    }
    let earlier = sequences.until(spine_from.0 - 1);
    let (retriever, of_earlier) = fit("retriever", &earlier, &of_retriever)?;
    let of_set = examples::Settings {
        model: settings.service.model.clone(),
        spine_from,
        positions_max: settings.train.positions_max,
        per_source: settings.service.per_source,
        pool_max: settings.service.pool_max,
        publish_lag_us: settings.train.publish_lag_ms as i64 * 1000,
        ..examples::Settings::default()
    };
    let made = examples::assemble(
        &engine,
        &records,
        definitions,
        &history,
        &backfill::indexes(context),
        &settings.data.join("training"),
        Some(&towers(&retriever)),
        &of_set,
        &*watch::bars(),
    )
    .await?;
    // The ranker learns what a nearest vector is worth from vectors that do not know its labels.
    // Served are vectors of the same make that know every day, since the newest say most.
    let of_served = models::retriever::Settings { validation_share: 0.0, ..of_retriever };
    let (retriever, of_all) = fit("retriever, all days", &sequences, &of_served)?;
    Ok((made, retriever, vec![of_earlier, of_all]))
}

fn fit(
    what: &'static str,
    sequences: &Sequences,
    settings: &models::retriever::Settings,
) -> anyhow::Result<(Retriever, RetrieverFit)> {
    let mut bar = EpochBar::new(what, settings.epochs_max);
    let fitted = tokio::task::block_in_place(|| Retriever::fit(sequences, settings, &mut bar));
    let (retriever, report) = fitted.exit(Code::Data)?;
    let models::retriever::Report { items, trained, validated, left_out, .. } = report;
    Ok((retriever, RetrieverFit { what, items, positions: trained, validated, left_out }))
}
