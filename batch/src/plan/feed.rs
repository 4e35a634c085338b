//! What flows through the plan: a lane's admitted events and the spine rows, in one schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use definitions::{Columns, Lane, decode::Decoder};
use fold::Plan;
use record::Partition;

/// Columns before the lane's own.
pub(super) const FIXED: usize = 10;
pub(super) const KEY: usize = 0;
/// Three columns of the order and the side.
pub(super) const ORDER: [usize; 4] = [1, 2, 3, 4];
pub(super) const SIDE: usize = 4;
pub(super) const ID: usize = 5;
pub(super) const AT: usize = 6;
pub(super) const PARTITION: usize = 7;
pub(super) const OFFSET: usize = 8;
pub(super) const EMBEDDING: usize = 9;

/// A lane's feed.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub(super) lane: Arc<Lane>,
    pub(super) plan: Arc<Plan>,
    /// Columns of the lane's expressions, after the fixed ones.
    pub(super) width: usize,
    /// Columns of the source that are passed on, after the lane's.
    pub(super) extra: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Feed {
    pub(super) fn new(lane: &Arc<Lane>, extra: &[usize]) -> Self {
        let mut fields = vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("order_0", DataType::Int64, false),
            Field::new("order_1", DataType::Int64, false),
            Field::new("order_2", DataType::Int64, false),
            Field::new("side", DataType::Int8, false),
            Field::new("id", DataType::UInt64, false),
            Field::new("at", DataType::Int64, false),
            Field::new("partition", DataType::UInt32, false),
            Field::new("offset", DataType::UInt64, false),
            Field::new("embedding", DataType::Int16, false),
        ];
        // The types are what the lane gives for a batch without rows.
        let nothing = Decoder::new(Arc::clone(&lane.source), Partition(0), 1).decode(&[]);
        let Columns { columns, .. } = lane.evaluate(&nothing);
        for (n, column) in columns.iter().enumerate() {
            fields.push(Field::new(format!("c{n}"), column.data_type().clone(), true));
        }
        for &column in extra {
            let field = lane.source.schema.field(column);
            fields.push(Field::new(format!("x_{}", field.name()), field.data_type().clone(), true));
        }
        Self {
            plan: Plan::new(lane),
            lane: Arc::clone(lane),
            width: columns.len(),
            extra: extra.to_vec(),
            schema: Arc::new(Schema::new(fields)),
        }
    }
}
