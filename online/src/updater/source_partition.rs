//! One partition of one source: reads it once and drives every lane that folds it.

use std::sync::Arc;

use definitions::Source;
use event_log::Topic;
use fold::Prepared;
use futures::future::try_join_all;
use record::{Offset, Partition};
use runtime::shutdown::Shutdown;
use tokio::sync::mpsc;

use super::context::Context;
use super::intake::{Intake, MicroBatch};
use super::lane_task::{LaneTask, Step};
use super::watchdog::Pulse;
use super::{Error, counters, watchdog};
use crate::busy::busy;

/// When a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When it is told to.
    Shutdown,
    /// When the log's end, as it was at the start, is covered.
    End,
}

/// The lanes of a source in one partition, at most one batch apart from what they committed.
pub(super) struct SourcePartition {
    pub(super) context: Arc<Context>,
    pub(super) source: Arc<Source>,
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) lanes: Vec<LaneTask>,
    /// The log's end at the start.
    pub(super) end: Offset,
    pub(super) pulse: Pulse,
}

impl SourcePartition {
    /// Reads, folds and commits until `until`; lanes that come through `joining` are taken on.
    /// Returns its lanes, each at its last commit.
    ///
    /// # Errors
    /// The first of any lane; [`Error::Stalled`] when nothing comes of it though there is something to do.
    pub(super) async fn run(
        self,
        until: Until,
        joining: mpsc::Receiver<Vec<LaneTask>>,
        shutdown: Shutdown,
    ) -> Result<Vec<LaneTask>, Error> {
        let (context, source) = (Arc::clone(&self.context), Arc::clone(&self.source));
        let (partition, pulse) = (self.partition, self.pulse.clone());
        let following = self.follow(until, joining, shutdown);
        watchdog::guard(&context, &source, partition, &pulse, following).await
    }

    async fn follow(
        mut self,
        until: Until,
        mut joining: mpsc::Receiver<Vec<LaneTask>>,
        shutdown: Shutdown,
    ) -> Result<Vec<LaneTask>, Error> {
        self.pulse.opening();
        let (context, source) = (&self.context, &self.source);
        let mut intake =
            Intake::open(context, source, self.topic, self.partition, self.from()).await?;
        let worked = self.work(&mut intake, until, &mut joining, shutdown).await;
        intake.stop().await;
        worked.map(|()| self.lanes)
    }

    async fn work(
        &mut self,
        intake: &mut Intake,
        until: Until,
        joining: &mut mpsc::Receiver<Vec<LaneTask>>,
        shutdown: Shutdown,
    ) -> Result<(), Error> {
        loop {
            self.pulse.reading(intake.position());
            self.covered(intake.position());
            if until == Until::End && intake.position() >= self.end {
                return Ok(());
            }
            if let Ok(lanes) = joining.try_recv() {
                self.lanes.extend(lanes);
                self.read_again(intake).await?;
            }
            let Some(batch) = shutdown.unless(intake.next()).await else { return Ok(()) };
            let Some(batch) = batch? else { continue };
            self.pulse.committing();
            if self.step(&batch).await? == Step::Rewind {
                self.read_again(intake).await?;
            }
        }
    }

    /// Where the last of the lanes stands.
    fn from(&self) -> Offset {
        self.lanes.iter().map(|lane| lane.head().next).min().unwrap_or(self.end)
    }

    async fn read_again(&self, intake: &mut Intake) -> Result<(), Error> {
        self.pulse.opening();
        intake.reopen(self.from()).await
    }

    /// Lets every lane fold and commit; their store calls overlap.
    async fn step(&mut self, batch: &MicroBatch) -> Result<Step, Error> {
        let MicroBatch { records, decoded } = batch;
        let cells = &self.context.shared.counters;
        counters::add(&cells.records, records.len());
        counters::add(&cells.batches, 1);
        let prepared = busy(records.len(), || Prepared::new(decoded, &self.source));
        let context = &self.context;
        let steps =
            try_join_all(self.lanes.iter_mut().map(|lane| lane.step(context, records, &prepared)))
                .await?;
        Ok(if steps.contains(&Step::Rewind) { Step::Rewind } else { Step::Covered })
    }

    /// A log may end in gaps, which no record covers: what counts is where the reader stands.
    fn covered(&self, position: Offset) {
        for lane in &self.lanes {
            let (lane, shared) = (lane.lane().id, &self.context.shared);
            shared.set_read_to(lane, self.partition, position);
            if position >= self.end {
                shared
                    .slot(lane, self.partition)
                    .send_if_modified(|progress| !std::mem::replace(&mut progress.caught_up, true));
            }
        }
    }
}
