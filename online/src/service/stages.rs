//! Which stages there are, out of definitions and settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use candidate_pipeline::{Filter, Hydrator, Pipeline, Source};
use definitions::{Definitions, Lane, Operation};

use super::Error;
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

/// What is known of an item as one last value, by name: lane and feature in the item table.
pub(super) fn attributes(item_lanes: &[Arc<Lane>]) -> BTreeMap<String, (usize, usize)> {
    let mut attributes = BTreeMap::new();
    for (lane_at, lane) in item_lanes.iter().enumerate() {
        for (at, feature) in lane.features.iter().enumerate() {
            if matches!(feature.operation, Operation::Last { .. }) {
                attributes.entry(feature.name.clone()).or_insert((lane_at, at));
            }
        }
    }
    attributes
}

/// The topic that says what the stock is, if the definitions have one.
pub(super) fn catalogue_topic<'a>(
    item_lanes: &'a [Arc<Lane>],
    attributes: &BTreeMap<String, (usize, usize)>,
) -> Option<&'a str> {
    attributes.get(STOCK).map(|(lane, _)| item_lanes[*lane].source.topic.as_str())
}

/// The pipeline of `Recommend`.
pub(super) fn pipeline(
    settings: &Settings,
    sources: &[String],
    attributes: &BTreeMap<String, (usize, usize)>,
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
        filters.push(Arc::new(Attributes { features: attributes.clone() }));
        if let Some((at, catalogue)) = attributes.get(STOCK).zip(catalogue) {
            filters.push(Arc::new(Stock { at: *at, catalogue: Arc::clone(catalogue) }));
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
