use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::array::{
    ArrayRef, Int8Array, Int16Array, Int64Array, StringArray, UInt32Array, UInt64Array,
    new_null_array,
};
use record::{EventTime, Offset, Partition};

use super::feed::{self, Feed};
use super::order::Order;
use crate::Error;

/// A row that values are wanted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpineRow {
    /// The entity.
    pub key: Arc<str>,
    /// Which events it sees.
    pub when: When,
    /// What it is read at, or the entity's greatest event time if that is later.
    pub at: EventTime,
    /// Index of the embedding for interest vectors; `None`: they are null.
    pub embedding: Option<u16>,
}

/// Which events a spine row sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Those strictly before this record in the total order. For [`Order::EventTime`].
    Before {
        /// Its effective time.
        at: EventTime,
        /// Its partition.
        partition: Partition,
        /// Its offset.
        offset: Offset,
    },
    /// Those with et ≤ the time. For [`Order::EventTime`].
    Through(EventTime),
    /// Those with et < the time. For [`Order::EventTime`].
    Until(EventTime),
    /// Those before the position in the key's partition. For [`Order::Position`].
    Position(Offset),
    /// Those that the version covers. For [`Order::Versions`].
    Version(usize),
}

/// Spine rows as rows of the feed; their ids count from `first_id`.
pub(super) fn batch(feed: &Feed, first_id: u64, rows: &[SpineRow]) -> Result<RecordBatch, Error> {
    let places: Vec<_> = rows.iter().map(|row| Order::spine(row.when)).collect();
    let order = |n: usize| -> ArrayRef {
        Arc::new(places.iter().map(|(order, _)| order[n]).collect::<Int64Array>())
    };
    let none = vec![0; rows.len()];
    let embedding = rows.iter().map(|row| row.embedding.map_or(-1, |at| at as i16));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key))),
        order(0),
        order(1),
        order(2),
        Arc::new(places.iter().map(|(_, side)| *side).collect::<Int8Array>()),
        Arc::new((first_id..).take(rows.len()).collect::<UInt64Array>()),
        Arc::new(rows.iter().map(|row| row.at.0).collect::<Int64Array>()),
        Arc::new(UInt32Array::from(none)),
        Arc::new(UInt64Array::from(vec![0; rows.len()])),
        Arc::new(embedding.collect::<Int16Array>()),
    ];
    for field in &feed.schema.fields()[feed::FIXED..] {
        columns.push(new_null_array(field.data_type(), rows.len()));
    }
    Ok(RecordBatch::try_new(feed.schema.clone(), columns)?)
}
