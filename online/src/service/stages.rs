//! Which stages there are, out of definitions and settings.

use std::sync::Arc;
use std::time::Duration;

use candidate_pipeline::{Filter, Hydrator, Pipeline, Source};
use definitions::{Definitions, Lane};

use super::Error;
use super::attribute;
use super::catalogue::Catalogue;
use super::filters::{Attributes, Excluded, Seen, Stock};
use super::fuser::RankFuser;
use super::hydrators::VisitorLane;
use super::lanes::LaneReader;
use super::metrics::Metrics;
use super::query::{Candidate, Query, SOURCES_MAX};
use super::scorers::RankerScorer;
use super::selectors::{Best, Popular};
use super::settings::Settings;
use super::sources::IndexSource;
use super::tables::model;
use crate::updater;

/// The attribute that says how many of an item there are.
const STOCK: &str = "stock";

/// The model's sources, checked.
pub(super) fn sources(
    definitions: &Definitions,
    settings: &Settings,
) -> Result<Arc<[String]>, Error> {
    let name = &settings.model;
    let model = model(definitions, name).ok_or_else(|| Error::NoModel(name.clone()))?;
    candidates::source::check(model.sources.iter().map(String::as_str))?;
    if model.sources.len() > SOURCES_MAX {
        return Err(Error::TooManySources {
            model: name.clone(),
            count: model.sources.len(),
            max: SOURCES_MAX,
        });
    }
    Ok(model.sources.clone().into())
}

/// The topic that says what the stock is, if the definitions have one.
pub(super) fn catalogue_topic<'a>(
    item_lanes: &'a [Arc<Lane>],
    attributes: &attribute::Attributes,
) -> Option<&'a str> {
    attributes.get(STOCK).map(|stock| item_lanes[stock.at.0].source.topic.as_str())
}

/// The pipeline of `Recommend`.
pub(super) fn pipeline(
    settings: &Settings,
    sources: &[String],
    attributes: &attribute::Attributes,
    visitor_lanes: &Arc<LaneReader>,
    catalogue: Option<&Arc<Catalogue>>,
    updater: Option<&updater::Handle>,
    metrics: &Arc<Metrics>,
) -> Pipeline<Query, Candidate> {
    let hydrator = |(at, lane): (usize, &Arc<Lane>)| {
        Arc::new(VisitorLane {
            name: format!("{}/{}", lane.source.name, lane.entity),
            at,
            lanes: Arc::clone(visitor_lanes),
            updater: updater.cloned(),
            wait_max: Duration::from_millis(settings.wait_positions_ms),
        }) as Arc<dyn Hydrator<Query>>
    };
    let source = |(at, name): (usize, &String)| {
        let per_source = settings.per_source;
        Arc::new(IndexSource { name: name.clone(), at, per_source })
            as Arc<dyn Source<Query, Candidate>>
    };
    let mut filters: Vec<Arc<dyn Filter<Query, Candidate>>> = Vec::new();
    if settings.filters {
        filters.push(Arc::new(Excluded));
        filters.push(Arc::new(Attributes { known: attributes.clone() }));
        if let Some((stock, catalogue)) = attributes.get(STOCK).zip(catalogue) {
            filters.push(Arc::new(Stock { at: stock.at, catalogue: Arc::clone(catalogue) }));
        }
        filters.push(Arc::new(Seen { keep_surfaces: settings.keep_seen_surfaces.clone() }));
    }
    Pipeline {
        hydrators: visitor_lanes.lanes().enumerate().map(hydrator).collect(),
        sources: sources.iter().enumerate().map(source).collect(),
        fuser: Arc::new(RankFuser { pool_max: settings.pool_max, metrics: Arc::clone(metrics) }),
        filters,
        scorers: vec![Arc::new(RankerScorer { metrics: Arc::clone(metrics) })],
        selector: Arc::new(Best),
        fallback: Arc::new(Popular { limit: settings.pool_max }),
        caps: settings.caps(),
    }
}
