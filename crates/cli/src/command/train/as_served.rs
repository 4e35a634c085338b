//! The clock *as served*: the answers on record, each with what it was made of and what came of it.
//!
//! The retriever stays the one that made the answers: their interest vectors are sums of its items.

use std::sync::Arc;

use batch::examples::{self, as_served};
use batch::{Records, parity::Report};
use definitions::Definitions;
use models::{Registry, Retriever};
use runtime::exit::{Code, With};

use super::towers;
use crate::command::{Context, backfill, models as registry, parity};

/// Assembles the set from the archive; what comes with it is the retriever to go on with, and what
/// was left out.
pub(super) async fn assemble(
    context: &Context,
    definitions: &Arc<Definitions>,
) -> anyhow::Result<(examples::Report, Retriever, Report)> {
    let settings = &context.settings;
    let expected = registry::expectation(definitions, &settings.service.model)?;
    let bundles = Registry::at(settings.data.join("models"));
    if bundles.active()?.digest().is_none() {
        anyhow::bail!(models::registry::Error::NoActive);
    }
    let retriever = bundles.load_active(&expected).exit(Code::Data)?.retriever;
    let retriever = retriever
        .ok_or_else(|| anyhow::anyhow!("the active bundle has no retriever: run `twofold train`"))
        .exit(Code::Data)?;
    let engine = backfill::engine(context)?;
    let (records, history) = backfill::history(context, definitions, &engine).await?;
    let items = Records::clone(&records);
    let job = parity::job(context, definitions, records, items, settings.service.clone())?;
    let of_set = as_served::Settings {
        model: settings.service.model.clone(),
        window_us: settings.train.outcome_window_ms as i64 * 1000,
        responses_max: settings.train.positions_max,
    };
    let root = settings.data.join("training");
    let towers = towers(&retriever);
    let (made, left_out) =
        as_served::assemble(&engine, &job, definitions, &history, &root, Some(&towers), &of_set)
            .await
            .exit(Code::Data)?;
    Ok((made, retriever, left_out))
}
