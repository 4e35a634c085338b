//! The leaf of the plan: records of one source, decoded, judged and evaluated for one lane.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{
    ArrayRef, AsArray, Int8Array, Int16Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::compute::take;
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use definitions::decode::Decoder;
use fold::Ledger;
use hashbrown::HashSet;
use record::{EventTime, Offset, Partition};

use super::admission::Admission;
use super::feed::Feed;
use super::order::{EVENT, Order};
use crate::{Error, Extent, Progress, Records, Watch};

/// What to scan.
#[derive(Clone)]
pub struct Scan {
    /// Where the records are.
    pub records: Records,
    /// Up to where.
    pub extent: Extent,
    /// The order of the events in the feed.
    pub order: Order,
    /// Only these entities; `None`: all.
    pub keys: Option<Arc<HashSet<Arc<str>>>>,
    /// Positions, by partition, whose watermarks are wanted.
    pub watermarks_at: Arc<BTreeMap<Partition, BTreeSet<Offset>>>,
    /// Is told how many records were read.
    pub watch: Arc<Watch>,
}

/// What a scan found besides the events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanReport {
    /// The lane's ledger, by partition.
    pub ledgers: BTreeMap<Partition, Ledger>,
    /// Watermarks at the positions that were asked for.
    pub watermarks: BTreeMap<(Partition, Offset), EventTime>,
}

/// Reads, decodes, judges and evaluates; one output partition per partition of the log.
pub struct ScanExec {
    feed: Feed,
    scan: Scan,
    report: Arc<Mutex<ScanReport>>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub(super) fn new(feed: Feed, scan: Scan) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(feed.schema.clone()),
            Partitioning::UnknownPartitioning(scan.extent.ends.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { feed, scan, report: Arc::default(), properties: Arc::new(properties) }
    }

    pub(super) fn report(&self) -> Arc<Mutex<ScanReport>> {
        Arc::clone(&self.report)
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanExec").field("lane", &self.feed.lane.id).finish_non_exhaustive()
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanExec: lane={}, topic={}", self.feed.lane.id, self.feed.lane.source.topic)
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
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
        _: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStream::builder(self.feed.schema.clone(), 2);
        let out = builder.tx();
        let partition = Partition(partition as u32);
        let worker = Worker {
            feed: self.feed.clone(),
            scan: self.scan.clone(),
            partition,
            admission: Admission::new(&self.feed.lane),
            watermarks: BTreeMap::new(),
        };
        let report = Arc::clone(&self.report);
        builder.spawn(async move {
            let found = worker.run(&out).await.map_err(Error::into_plan)?;
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.ledgers.insert(partition, found.admission.ledger);
            report
                .watermarks
                .extend(found.watermarks.into_iter().map(|(offset, at)| ((partition, offset), at)));
            Ok(())
        });
        Ok(builder.build())
    }
}

struct Worker {
    feed: Feed,
    scan: Scan,
    partition: Partition,
    admission: Admission,
    watermarks: BTreeMap<Offset, EventTime>,
}

type Out = tokio::sync::mpsc::Sender<PlanResult<RecordBatch>>;

impl Worker {
    async fn run(mut self, out: &Out) -> Result<Self, Error> {
        let lane = Arc::clone(&self.feed.lane);
        let partitions = self.scan.extent.ends.len() as u32;
        let to = self.scan.extent.ends[self.partition.0 as usize];
        let decoder = Decoder::new(Arc::clone(&lane.source), self.partition, partitions);
        let topic = &lane.source.topic;
        let mut chunks = self.scan.records.chunks(topic, self.partition, to).await?;
        let wanted = self.scan.watermarks_at.get(&self.partition).cloned().unwrap_or_default();
        let mut wanted = wanted.into_iter().peekable();
        while let Some(records) = chunks.next().await? {
            let batch = decoder.decode(&records);
            let columns = lane.evaluate(&batch);
            let admitted = self.admission.judge(&lane, &batch, &columns, |row, watermark| {
                while let Some(next) = wanted.next_if(|next| *next <= batch.offsets[row]) {
                    self.watermarks.insert(next, watermark);
                }
            });
            (self.scan.watch)(Progress { step: "scan", done: records.len() as u64, total: None });
            let rows = self.rows(&batch, &columns.columns, admitted)?;
            if rows.num_rows() > 0 && out.send(Ok(rows)).await.is_err() {
                return Ok(self);
            }
        }
        let end = self.admission.watermark();
        // Positions beyond the log's end are left out: nobody can have covered them.
        self.watermarks.extend(wanted.filter(|next| *next <= to).map(|next| (next, end)));
        Ok(self)
    }

    /// The admitted rows of a batch that somebody may see, as rows of the feed.
    fn rows(
        &self,
        batch: &definitions::EventBatch,
        columns: &[ArrayRef],
        admitted: Vec<(usize, EventTime)>,
    ) -> Result<RecordBatch, Error> {
        let lane = &self.feed.lane;
        let entities = batch.columns.column(lane.entity_column).as_string::<i32>();
        let mut places = Vec::with_capacity(admitted.len());
        for (row, at) in admitted {
            let key = entities.value(row);
            if self.scan.keys.as_ref().is_some_and(|keys| !keys.contains(key)) {
                continue;
            }
            let place = self.scan.order.event(at, self.partition, batch.offsets[row]);
            places.extend(place.map(|(order, _)| (row, at, order)));
        }
        let rows: UInt64Array = places.iter().map(|(row, ..)| *row as u64).collect();
        let order = |n: usize| -> ArrayRef {
            Arc::new(places.iter().map(|(.., order)| order[n]).collect::<Int64Array>())
        };
        let count = places.len();
        let keys = places.iter().map(|(row, ..)| entities.value(*row));
        let offsets = places.iter().map(|(row, ..)| batch.offsets[*row].0);
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(keys)),
            order(0),
            order(1),
            order(2),
            Arc::new(Int8Array::from(vec![EVENT; count])),
            Arc::new(UInt64Array::from(vec![0; count])),
            Arc::new(places.iter().map(|(_, at, _)| at.0).collect::<Int64Array>()),
            Arc::new(UInt32Array::from(vec![self.partition.0; count])),
            Arc::new(offsets.collect::<UInt64Array>()),
            Arc::new(Int16Array::from(vec![-1; count])),
        ];
        for column in columns {
            arrays.push(take(column, &rows, None)?);
        }
        for &column in &self.feed.extra {
            arrays.push(take(batch.columns.column(column), &rows, None)?);
        }
        Ok(RecordBatch::try_new(self.feed.schema.clone(), arrays)?)
    }
}
