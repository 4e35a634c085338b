//! The one operator of ours: folds a lane's events key by key and emits values at the spine rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BinaryBuilder, Int64Builder, RecordBatch, UInt64Builder};
use arrow::datatypes::{
    DataType, Field, Int8Type, Int16Type, Int64Type, Schema, SchemaRef, UInt32Type, UInt64Type,
};
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, PlanProperties,
};
use definitions::Columns;
use fold::{Embedding, Inputs, KeyFold, Place, encode_values};
use futures::StreamExt as _;
use record::{EventTime, Offset, Partition};

use super::feed::{self, Feed};
use super::order::EVENT;

/// Runs the fold over input that is partitioned by key and sorted by (key, order, side), and emits one
/// row per spine row: its id, whether the entity had any event, and the canonical bytes of its values.
pub struct FoldExec {
    feed: Feed,
    embeddings: Vec<Arc<dyn Embedding>>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl FoldExec {
    pub(super) fn new(
        feed: Feed,
        embeddings: Vec<Arc<dyn Embedding>>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(
                input.output_partitioning().partition_count(),
            ),
            EmissionType::Incremental,
            input.boundedness(),
        );
        Self { feed, embeddings, input, properties: Arc::new(properties) }
    }
}

/// `id`, `greatest` (effective time of the entity's events, the least number where there is none), `values`.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::UInt64, false),
        Field::new("greatest", DataType::Int64, false),
        Field::new("values", DataType::Binary, false),
    ]))
}

impl fmt::Debug for FoldExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldExec").field("lane", &self.feed.lane.id).finish_non_exhaustive()
    }
}

impl DisplayAs for FoldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lane = &self.feed.lane;
        write!(f, "FoldExec: lane={}, source={}, entity={}", lane.id, lane.source.name, lane.entity)
    }
}

impl ExecutionPlan for FoldExec {
    fn name(&self) -> &'static str {
        "FoldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let input = children.pop().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self::new(self.feed.clone(), self.embeddings.clone(), input)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let mut folder =
            Folder { feed: self.feed.clone(), embeddings: self.embeddings.clone(), key: None };
        let out = input.map(move |batch| batch.and_then(|batch| folder.fold(&batch)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), out)))
    }
}

/// The fold of the key that is being read.
struct Folder {
    feed: Feed,
    embeddings: Vec<Arc<dyn Embedding>>,
    key: Option<(Box<str>, KeyFold)>,
}

impl Folder {
    fn fold(&mut self, batch: &RecordBatch) -> PlanResult<RecordBatch> {
        let keys = batch.column(feed::KEY).as_string::<i32>();
        let sides = batch.column(feed::SIDE).as_primitive::<Int8Type>();
        let ids = batch.column(feed::ID).as_primitive::<UInt64Type>();
        let times = batch.column(feed::AT).as_primitive::<Int64Type>();
        let partitions = batch.column(feed::PARTITION).as_primitive::<UInt32Type>();
        let offsets = batch.column(feed::OFFSET).as_primitive::<UInt64Type>();
        let embeddings = batch.column(feed::EMBEDDING).as_primitive::<Int16Type>();
        let columns = Columns {
            columns: batch.columns()[feed::FIXED..feed::FIXED + self.feed.width].to_vec(),
            rejections: Vec::new(),
        };
        let plan = Arc::clone(&self.feed.plan);
        let inputs = Inputs::new(&plan, &columns);
        let (mut out_ids, mut out_greatest) = (UInt64Builder::new(), Int64Builder::new());
        let mut out_values = BinaryBuilder::new();
        for row in 0..batch.num_rows() {
            let key = keys.value(row);
            if self.key.as_ref().is_none_or(|(current, ..)| **current != *key) {
                self.key = Some((key.into(), KeyFold::new(&plan)));
            }
            let (_, fold) = self.key.as_mut().expect("it was just put there");
            let at = EventTime(times.value(row));
            if sides.value(row) == EVENT {
                let partition = Partition(partitions.value(row));
                let place = Place { at, partition, offset: Offset(offsets.value(row)) };
                fold.push(&inputs, row, place);
                continue;
            }
            let embedding = usize::try_from(embeddings.value(row)).ok();
            let embedding = embedding.and_then(|at| self.embeddings.get(at));
            let values = fold.values(at, embedding.map(|embedding| &**embedding as &dyn Embedding));
            out_ids.append_value(ids.value(row));
            out_greatest.append_value(fold.state().greatest().0);
            out_values.append_value(encode_values(&values));
        }
        Ok(RecordBatch::try_new(
            schema(),
            vec![
                Arc::new(out_ids.finish()),
                Arc::new(out_greatest.finish()),
                Arc::new(out_values.finish()),
            ],
        )?)
    }
}
