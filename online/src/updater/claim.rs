//! Taking a partition over: the store's heads must be heads of this log.

use std::sync::Arc;

use futures::future::try_join_all;
use record::Partition;
use runtime::shutdown::Shutdown;

use super::context::Context;
use super::lane_task::LaneTask;
use super::retry::retry;
use super::source_partition::{SourcePartition, Until};
use super::watchdog::{self, Pulse};
use super::{Error, SourceLanes, bootstrap};

/// Claims a partition of a topic for every source that reads it, and works on it until `until`.
pub(super) async fn work(
    context: Arc<Context>,
    sources: Vec<Arc<SourceLanes>>,
    partition: Partition,
    until: Until,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let each = sources.iter().map(|source| work_for(&context, source, partition, until, &shutdown));
    try_join_all(each).await.map(drop)
}

async fn work_for(
    context: &Arc<Context>,
    source: &SourceLanes,
    partition: Partition,
    until: Until,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let pulse = Pulse::default();
    let claiming = claim(context, source, partition);
    let claiming = watchdog::guard(context, &source.source, partition, &pulse, claiming);
    match shutdown.unless(claiming).await {
        Some(claimed) => bootstrap::run(claimed?, until, shutdown.clone()).await,
        None => Ok(()),
    }
}

/// The head must belong to this log and lie within it.
async fn check(
    context: &Context,
    source: &SourceLanes,
    task: &LaneTask,
    partition: Partition,
) -> Result<(), Error> {
    let (lane, head) = (task.lane().id, task.head());
    let topic = &source.source.topic;
    if head.log != source.topic.log {
        return Err(Error::OtherLog {
            lane,
            partition,
            topic: topic.clone(),
            stored: head.log,
            found: source.topic.log,
        });
    }
    if head.next <= source.ends[partition.0 as usize] {
        return Ok(());
    }
    // The updater that was fenced off just now may have gone on since the ends were read.
    let ends = retry(context, "asking where the log ends", || context.log.bounds(topic)).await?;
    let end = ends[partition.0 as usize].next;
    if head.next > end {
        let topic = topic.clone();
        return Err(Error::StoreAhead { lane, partition, topic, stored: head.next, end });
    }
    Ok(())
}

/// Claims every lane of a source in one partition.
async fn claim(
    context: &Arc<Context>,
    source: &SourceLanes,
    partition: Partition,
) -> Result<SourcePartition, Error> {
    let end = source.ends[partition.0 as usize];
    let mut lanes = Vec::with_capacity(source.lanes.len());
    for lane in &source.lanes {
        let lane = LaneTask::claim(context, Arc::clone(lane), partition, source.topic).await?;
        check(context, source, &lane, partition).await?;
        context.shared.slot(lane.lane().id, partition).send_modify(|progress| {
            progress.start = lane.head().next;
            progress.head = (!lane.is_new()).then(|| lane.head().clone());
            progress.caught_up = lane.head().next >= end;
        });
        lanes.push(lane);
    }
    Ok(SourcePartition {
        context: Arc::clone(context),
        source: Arc::clone(&source.source),
        topic: source.topic,
        partition,
        lanes,
        end,
        pulse: Pulse::default(),
    })
}
