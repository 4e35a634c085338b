//! One chunk of positions: visitors' values, pools, items' values, inputs.

use std::sync::Arc;

use candidates::Vectors;
use candidates::index::Indexes;
use candidates::joined_row::Request;
use candidates::pool::{self, Pool};
use candidates::source::Query;
use definitions::Lane;
use fold::{Value, decode_values};
use hashbrown::{HashMap, HashSet};
use rayon::prelude::*;
use record::EventTime;

use super::manifest::Tally;
use super::spine::second_before;
use super::write::{Example, Writer};
use super::{Job, Position};
use crate::Error;
use crate::plan::{Order, Scan, SpineRow, Values, When};

/// A position with what the service would have known.
struct Asked<'a> {
    position: &'a Position,
    visitor: Vec<Vec<Value>>,
    request: Request,
    pool: Pool,
}

pub(super) async fn write(
    job: &Job<'_>,
    indexes: &Indexes,
    vectors: Option<&Vectors>,
    positions: &[Position],
    writer: &mut Writer,
    tally: &mut Tally,
) -> Result<(), Error> {
    let mut visitors = Vec::new();
    for lane in job.joiner.visitor_lanes() {
        visitors.push(visitor_values(job, lane, positions).await?);
    }
    let asked: Vec<Option<Asked<'_>>> = positions
        .par_iter()
        .enumerate()
        .map(|(row, position)| ask(job, indexes, vectors, position, row, &visitors))
        .collect::<Result<_, _>>()?;
    drop(visitors);
    tally.without_target += asked.iter().filter(|asked| asked.is_none()).count() as u64;
    let asked: Vec<Asked<'_>> = asked.into_iter().flatten().collect();
    let spine = ItemSpine::of(indexes, &asked);
    let mut items = Vec::new();
    let mut known = vec![false; spine.rows.len()];
    for lane in job.joiner.item_lanes() {
        let values = values(job, lane, spine.rows.clone()).await?;
        known.iter_mut().zip(&values).for_each(|(known, value)| *known |= value.0 > EventTime::MIN);
        let decoded = values.par_iter().map(|(_, bytes)| decode_values(bytes));
        items.push(decoded.collect::<Result<Vec<_>, _>>()?);
    }
    // An item that no lane has seen is not in the service's table: null to the model, not a default.
    for lane in &mut items {
        lane.iter_mut().zip(&known).filter(|(_, known)| !**known).for_each(|(row, _)| row.clear());
    }
    let examples: Vec<(Example, u64)> =
        asked.par_iter().map(|asked| example(job, indexes, asked, &spine, &items)).collect();
    for (example, failed) in examples {
        tally.failed += failed;
        tally.count(&example);
        writer.push(&example)?;
    }
    Ok(())
}

async fn values(job: &Job<'_>, lane: &Arc<Lane>, spine: Vec<SpineRow>) -> Result<Values, Error> {
    let extent = if lane.source.topic == job.history.lane.source.topic {
        job.history.extent.clone()
    } else {
        job.records.extent_or_nothing(&lane.source.topic).await?
    };
    let keys: HashSet<Arc<str>> = spine.iter().map(|row| Arc::clone(&row.key)).collect();
    let scan = Scan {
        records: job.records.clone(),
        extent,
        order: Order::EventTime,
        keys: Some(Arc::new(keys)),
        watermarks_at: Arc::default(),
        watch: Arc::new(|_| ()),
    };
    let embeddings = job.towers.map(|towers| Arc::clone(&towers.embedding)).into_iter().collect();
    Ok(job.engine.values(lane, scan, &spine, embeddings).await?.0)
}

async fn visitor_values(
    job: &Job<'_>,
    lane: &Arc<Lane>,
    positions: &[Position],
) -> Result<Values, Error> {
    let own = &job.history.lane.source.name;
    let spine = positions.iter().map(|position| {
        let event = &position.event;
        // The total order is (et, source, partition, offset).
        let when = match lane.source.name.cmp(own) {
            std::cmp::Ordering::Equal => {
                When::Before { at: event.at, partition: event.partition, offset: event.offset }
            }
            std::cmp::Ordering::Less => When::Through(event.at),
            std::cmp::Ordering::Greater => When::Until(event.at),
        };
        SpineRow {
            key: Arc::clone(&job.history.visitors[event.visitor as usize]),
            when,
            at: event.at,
            embedding: job.towers.map(|_| 0),
        }
    });
    values(job, lane, spine.collect()).await
}

/// What the sources give at a position; `None` where the next item is not among it.
fn ask<'a>(
    job: &Job<'_>,
    indexes: &Indexes,
    vectors: Option<&Vectors>,
    position: &'a Position,
    row: usize,
    visitors: &[Values],
) -> Result<Option<Asked<'a>>, Error> {
    let visitor = visitors.iter().map(|lane| decode_values(&lane[row].1));
    let visitor: Vec<Vec<Value>> = visitor.collect::<Result<_, _>>()?;
    let rows: Vec<&[Value]> = visitor.iter().map(Vec::as_slice).collect();
    let at_us = position.event.at.0;
    let query = Query::of_visitor(&rows, Vec::new(), at_us, |interest| {
        job.towers.map_or_else(Vec::new, |towers| (towers.query)(interest))
    });
    let settings = job.settings;
    let sources = &job.model.model.sources;
    // Cut before the target is looked for: one that was kept from behind the cut would be the only
    // candidate from there, and a model would learn that what lies far behind is right.
    let rows_max = settings.pool_max.min(settings.rows_max);
    let pool = pool::gather(sources, indexes, vectors, &query, settings.per_source, rows_max)?;
    let target = indexes.catalogue.ordinal(&job.history.items[position.event.item as usize]);
    if !target.is_some_and(|target| pool.items.contains(&target)) {
        return Ok(None);
    }
    Ok(Some(Asked { position, request: Request::of(&query), visitor, pool }))
}

/// Each (item, second) once.
struct ItemSpine {
    rows: Vec<SpineRow>,
    places: HashMap<(u32, EventTime), u32>,
}

impl ItemSpine {
    fn of(indexes: &Indexes, asked: &[Asked<'_>]) -> Self {
        let mut spine = Self { rows: Vec::new(), places: HashMap::new() };
        for asked in asked {
            let at = second_before(asked.position.event.at);
            for &item in &asked.pool.items {
                spine.places.entry((item, at)).or_insert_with(|| {
                    let key = Arc::clone(indexes.catalogue.id(item));
                    let when = When::Through(at);
                    spine.rows.push(SpineRow { key, when, at, embedding: None });
                    spine.rows.len() as u32 - 1
                });
            }
        }
        spine
    }
}

fn example(
    job: &Job<'_>,
    indexes: &Indexes,
    asked: &Asked<'_>,
    spine: &ItemSpine,
    items: &[Vec<Vec<Value>>],
) -> (Example, u64) {
    let at = second_before(asked.position.event.at);
    let visitor: Vec<&[Value]> = asked.visitor.iter().map(Vec::as_slice).collect();
    let item = |lane: usize, row: usize| {
        let place = spine.places[&(asked.pool.items[row], at)];
        items[lane][place as usize].as_slice()
    };
    let joined = job.joiner.join(asked.request, &visitor, item, &asked.pool);
    let (inputs, failed) = job.model.evaluate(&joined);
    let event = asked.position.event;
    let target = &job.history.items[event.item as usize];
    let ids = asked.pool.items.iter().map(|item| Arc::clone(indexes.catalogue.id(*item)));
    let ids: Vec<Arc<str>> = ids.collect();
    let target = ids.iter().position(|id| id == target).expect("the target is in the pool");
    let kind = Arc::clone(&job.history.kinds[usize::from(event.kind)]);
    (Example { at: event.at, items: ids, target, kind, inputs }, failed.len() as u64)
}
