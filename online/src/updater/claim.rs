//! Taking lanes over: the store's heads must be heads of this log.

use std::sync::Arc;

use record::Partition;

use super::lane_task::LaneTask;
use super::source_partition::SourcePartition;
use super::{Error, SourceLanes, Updater};

impl Updater {
    /// The head must belong to this log and lie within it.
    async fn check(
        &self,
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
        let end = self.context.log.bounds(topic).await?[partition.0 as usize].next;
        if head.next > end {
            let topic = topic.clone();
            return Err(Error::StoreAhead { lane, partition, topic, stored: head.next, end });
        }
        Ok(())
    }

    /// Claims every lane of a source in one partition.
    pub(super) async fn claim(
        &self,
        source: &SourceLanes,
        partition: Partition,
    ) -> Result<SourcePartition, Error> {
        let end = source.ends[partition.0 as usize];
        let mut lanes = Vec::with_capacity(source.lanes.len());
        for lane in &source.lanes {
            let lane =
                LaneTask::claim(&self.context, Arc::clone(lane), partition, source.topic).await?;
            self.check(source, &lane, partition).await?;
            self.context.shared.slot(lane.lane().id, partition).send_modify(|progress| {
                progress.start = lane.head().next;
                progress.head = (!lane.is_new()).then(|| lane.head().clone());
                progress.caught_up = lane.head().next >= end;
            });
            lanes.push(lane);
        }
        Ok(SourcePartition {
            context: Arc::clone(&self.context),
            source: Arc::clone(&source.source),
            topic: source.topic,
            partition,
            lanes,
            end,
        })
    }
}
