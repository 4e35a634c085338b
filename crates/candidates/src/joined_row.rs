//! The joined row: visitor features, item features, source scores and request, one row a candidate.
//!
//! Batch and service build it with this code from [`fold::Value`]s, so that a model's expressions see
//! the same arrays in training and in serving.

mod arrays;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::datatypes::{DataType, SchemaRef};
pub use definitions::ITEM_ENTITY;
use definitions::model::CompiledModel;
use definitions::{Definitions, Lane};
use fold::Value;

use crate::Error;
use crate::pool::Pool;
use crate::source::Query;

const HOUR_US: i64 = 3_600 * 1_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// What the row knows of the request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// When it is, in microseconds since the epoch.
    pub as_of_us: i64,
    /// Events in the visitor's sequence, which says how far into a session a visitor is.
    pub position_count: i64,
}

/// Fills the joined schema of a model; made once, used for every request.
#[derive(Debug, Clone)]
pub struct Joiner {
    schema: SchemaRef,
    cells: Vec<Cell>,
    visitor_lanes: Vec<Arc<Lane>>,
    item_lanes: Vec<Arc<Lane>>,
}

/// Where a column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cell {
    Visitor {
        lane: usize,
        feature: usize,
    },
    Item {
        lane: usize,
        feature: usize,
    },
    Source {
        name: String,
        part: Part,
    },
    Hour,
    Weekday,
    PositionCount,
    /// No input reads it: null, whatever it would be.
    Unread,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Score,
    Rank,
    Share,
}

impl Request {
    /// The row's view of what the sources were asked.
    #[must_use]
    pub fn of(query: &Query) -> Self {
        Self { as_of_us: query.as_of_us, position_count: query.sequence.len() as i64 }
    }
}

impl Joiner {
    /// A joiner for `model` over the features of `lanes` (all of the definitions' lanes). Columns that
    /// the model does not read stay null.
    ///
    /// # Errors
    /// A field that no lane, source or request has.
    pub fn new(
        definitions: &Definitions,
        model: &CompiledModel,
        lanes: &[Arc<Lane>],
    ) -> Result<Self, Error> {
        let joined = definitions.joined_schema(&model.model);
        let (item_lanes, visitor_lanes): (Vec<_>, Vec<_>) =
            lanes.iter().cloned().partition(|lane| lane.entity == ITEM_ENTITY);
        let mut cells = Vec::with_capacity(joined.fields().len());
        let mut unmet = model.columns();
        for (qualifier, field) in joined.iter() {
            let schema = qualifier.and_then(|qualifier| qualifier.schema());
            let table = qualifier.map_or("", |qualifier| qualifier.table());
            let cell = match (schema, table) {
                (Some("source"), name) => source_cell(name, field.name()),
                (None, "request") => request_cell(field.name()),
                (None, group) => feature(&visitor_lanes, group, field.name())
                    .map(|(lane, feature)| Cell::Visitor { lane, feature })
                    .or_else(|| {
                        feature(&item_lanes, group, field.name())
                            .map(|(lane, feature)| Cell::Item { lane, feature })
                    }),
                _ => None,
            };
            let name = format!(
                "{}{table}.{}",
                schema.map_or(String::new(), |s| format!("{s}.")),
                field.name()
            );
            let is_read = unmet.remove(name.as_str());
            let cell = cell.ok_or_else(|| Error::Field {
                field: name,
                what: "no feature, source or request has it".to_owned(),
            })?;
            cells.push(if is_read { cell } else { Cell::Unread });
        }
        if let Some(name) = unmet.first() {
            let what = "the model reads it, and the joined row has no such column".to_owned();
            return Err(Error::Field { field: (*name).to_owned(), what });
        }
        Ok(Self { schema: joined.inner().clone(), cells, visitor_lanes, item_lanes })
    }

    /// Lanes of the visitor, in the order that [`Joiner::join`] takes their values.
    #[must_use]
    pub fn visitor_lanes(&self) -> &[Arc<Lane>] {
        &self.visitor_lanes
    }

    /// Lanes of the items, in the order that [`Joiner::join`] asks for their values.
    #[must_use]
    pub fn item_lanes(&self) -> &[Arc<Lane>] {
        &self.item_lanes
    }

    /// One row per candidate of the pool. `visitor` has the feature values of each visitor lane (an
    /// empty slice where a lane was not read: nulls), `item(lane, row)` those of a candidate in an
    /// item lane (empty: nulls).
    #[must_use]
    pub fn join<'a>(
        &self,
        request: Request,
        visitor: &[&[Value]],
        item: impl Fn(usize, usize) -> &'a [Value],
        pool: &Pool,
    ) -> RecordBatch {
        let rows = pool.len();
        let columns = self.cells.iter().zip(self.schema.fields()).map(|(cell, field)| match cell {
            Cell::Visitor { lane, feature } => {
                let values = visitor.get(*lane).copied().unwrap_or(&[]);
                arrays::repeat(field.data_type(), values.get(*feature), rows)
            }
            Cell::Item { lane, feature } => {
                let value = |row: usize| item(*lane, row).get(*feature);
                arrays::column(field.data_type(), rows, value)
            }
            Cell::Source { name, part } => source_column(pool, name, *part),
            Cell::Hour => integer(request.as_of_us.rem_euclid(DAY_US) / HOUR_US, rows),
            Cell::Weekday => integer(weekday(request.as_of_us), rows),
            Cell::PositionCount => integer(request.position_count, rows),
            Cell::Unread => new_null_array(field.data_type(), rows),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .expect("columns were made for the schema's types, one row a candidate")
    }
}

/// Days since Monday, UTC: 0 is Monday. The epoch was a Thursday.
fn weekday(at_us: i64) -> i64 {
    (at_us.div_euclid(DAY_US) + 3).rem_euclid(7)
}

fn source_cell(name: &str, part: &str) -> Option<Cell> {
    let part = match part {
        "score" => Part::Score,
        "rank" => Part::Rank,
        "share" => Part::Share,
        _ => return None,
    };
    Some(Cell::Source { name: name.to_owned(), part })
}

fn request_cell(name: &str) -> Option<Cell> {
    match name {
        "hour" => Some(Cell::Hour),
        "weekday" => Some(Cell::Weekday),
        "position_count" => Some(Cell::PositionCount),
        _ => None,
    }
}

fn feature(lanes: &[Arc<Lane>], group: &str, name: &str) -> Option<(usize, usize)> {
    lanes.iter().enumerate().find_map(|(at, lane)| {
        let of_group = |group_at: usize| lane.groups[group_at].name == group;
        let found = lane.features.iter().position(|f| f.name == name && of_group(f.group));
        found.map(|feature| (at, feature))
    })
}

fn source_column(pool: &Pool, name: &str, part: Part) -> ArrayRef {
    let none = vec![None; pool.len()];
    let at = pool.sources.iter().position(|source| source == name);
    let hits = at.map_or(&none, |at| &pool.hits[at]);
    match part {
        Part::Score => Arc::new(hits.iter().map(|h| h.map(|h| h.score)).collect::<Float64Array>()),
        Part::Share => Arc::new(hits.iter().map(|h| h.map(|h| h.share)).collect::<Float64Array>()),
        Part::Rank => {
            Arc::new(hits.iter().map(|h| h.map(|h| i64::from(h.rank))).collect::<Int64Array>())
        }
    }
}

fn integer(value: i64, rows: usize) -> ArrayRef {
    arrays::repeat(&DataType::Int64, Some(&Value::Int(value)), rows)
}

#[cfg(test)]
mod tests {
    use super::weekday;

    #[test]
    fn weeks_begin_on_monday() {
        assert_eq!(weekday(0), 3, "1 January 1970 was a Thursday");
        assert_eq!(weekday(-1), 2);
        assert_eq!(weekday(1_396_310_400_000_000), 1, "1 April 2014 was a Tuesday");
    }
}
