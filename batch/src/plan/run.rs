//! Builds and runs the plan, within a stated memory.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt64Type};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion::prelude::SessionConfig;
use definitions::Lane;
use fold::Embedding;
use futures::StreamExt as _;
use record::EventTime;

use super::feed::{self, Feed};
use super::scan::{Scan, ScanExec, ScanReport};
use super::spill::Spill;
use super::spine::{self, SpineRow};
use super::{FoldExec, fold_exec};
use crate::Error;

/// Rows of a batch of spine rows.
const SPINE_BATCH: usize = 8192;

/// What the engine may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Bytes that sorts hold before they spill.
    pub memory_bytes: usize,
    /// Where they spill to, into a directory of the engine's own, which goes with it; `None`: the system's
    /// directory for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// Partitions of work at once.
    pub cores: usize,
}

/// Runs plans.
#[derive(Clone)]
pub struct Engine {
    context: Arc<TaskContext>,
    cores: usize,
    /// After the context, which has files in it.
    _spill: Option<Arc<Spill>>,
}

/// One entry per spine row, in its order: the greatest effective time of the entity's events
/// ([`EventTime::MIN`] where there is none), and the canonical bytes of its values.
pub type Values = Vec<(EventTime, Box<[u8]>)>;

impl Default for EngineSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        Self { memory_bytes: 1 << 30, spill_dir: None, cores }
    }
}

impl Engine {
    /// An engine with its own memory.
    ///
    /// # Errors
    /// When the spill directory cannot be used.
    pub fn new(settings: &EngineSettings) -> Result<Self, Error> {
        let pool = FairSpillPool::new(settings.memory_bytes);
        let top = NonZeroUsize::new(3).expect("three is not zero");
        let mut runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(TrackConsumersPool::new(pool, top)));
        let spill = settings.spill_dir.as_deref().map(Spill::claim).transpose()?;
        if let Some(spill) = &spill {
            runtime = runtime.with_temp_file_path(spill.path());
        }
        let runtime: Arc<RuntimeEnv> = runtime.build_arc()?;
        let cores = settings.cores.max(1);
        let config = SessionConfig::new().with_target_partitions(cores);
        let context = TaskContext::default().with_session_config(config).with_runtime(runtime);
        Ok(Self { context: Arc::new(context), cores, _spill: spill.map(Arc::new) })
    }

    /// The values of `lane` at the spine rows.
    ///
    /// # Errors
    /// When records cannot be read or the plan fails.
    pub async fn values(
        &self,
        lane: &Arc<Lane>,
        scan: Scan,
        spine: &[SpineRow],
        embeddings: Vec<Arc<dyn Embedding>>,
    ) -> Result<(Values, ScanReport), Error> {
        let feed = Feed::new(lane, &[]);
        let scan = ScanExec::new(feed.clone(), scan);
        let report = scan.report();
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = vec![Arc::new(scan)];
        let chunks = spine.chunks(SPINE_BATCH).zip((0..).step_by(SPINE_BATCH));
        let batches = chunks.map(|(rows, first)| spine::batch(&feed, first, rows));
        let batches = batches.collect::<Result<Vec<_>, _>>()?;
        inputs.push(MemorySourceConfig::try_new_exec(&[batches], feed.schema.clone(), None)?);
        let sorted = self.by_key(UnionExec::try_new(inputs)?, &feed)?;
        let fold: Arc<dyn ExecutionPlan> = Arc::new(FoldExec::new(feed, embeddings, sorted));
        let mut values: Values = vec![(EventTime::MIN, Box::default()); spine.len()];
        let partitions = (0..self.cores).map(|n| fold.execute(n, Arc::clone(&self.context)));
        let streams = partitions.collect::<Result<Vec<_>, _>>()?;
        let mut batches = futures::stream::select_all(streams);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(Error::from_plan)?;
            let ids = batch.column(0).as_primitive::<UInt64Type>();
            let greatest = batch.column(1).as_primitive::<Int64Type>();
            let bytes = batch.column(2).as_binary::<i32>();
            for row in 0..batch.num_rows() {
                let value = (EventTime(greatest.value(row)), bytes.value(row).into());
                values[ids.value(row) as usize] = value;
            }
        }
        debug_assert_eq!(fold.schema(), fold_exec::schema());
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((values, report))
    }

    /// The admitted events of `lane`, in the order of (key, order), with `extra` columns of the source
    /// last. Columns before them: see `EVENTS`.
    pub(crate) async fn events(
        &self,
        lane: &Arc<Lane>,
        scan: Scan,
        extra: &[usize],
        mut each: impl FnMut(&RecordBatch, usize) -> Result<(), Error>,
    ) -> Result<ScanReport, Error> {
        let feed = Feed::new(lane, extra);
        let scan = ScanExec::new(feed.clone(), scan);
        let report = scan.report();
        let sorted = self.by_key(Arc::new(scan), &feed)?;
        let merged = SortPreservingMergeExec::new(ordering(&feed), sorted);
        let mut batches: SendableRecordBatchStream =
            merged.execute(0, Arc::clone(&self.context))?;
        let first = feed::FIXED + feed.width;
        while let Some(batch) = batches.next().await {
            each(&batch.map_err(Error::from_plan)?, first)?;
        }
        let report = report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(report)
    }

    /// Partitioned by the hash of the key, each partition sorted by (key, order, side).
    fn by_key(
        &self,
        input: Arc<dyn ExecutionPlan>,
        feed: &Feed,
    ) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let partitioning = Partitioning::Hash(vec![column(feed, feed::KEY)], self.cores);
        let by_hash = Arc::new(RepartitionExec::try_new(input, partitioning)?);
        Ok(Arc::new(SortExec::new(ordering(feed), by_hash).with_preserve_partitioning(true)))
    }
}

fn column(feed: &Feed, at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(feed.schema.field(at).name(), at))
}

fn ordering(feed: &Feed) -> LexOrdering {
    let columns = [feed::KEY].into_iter().chain(feed::ORDER);
    let sorts = columns.map(|at| PhysicalSortExpr::new_default(column(feed, at)));
    LexOrdering::new(sorts).expect("there is a column to sort by")
}
