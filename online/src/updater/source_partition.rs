//! One partition of one source: reads it once and drives every lane that folds it.

use std::sync::Arc;

use definitions::Source;
use definitions::decode::Decoder;
use event_log::{Reader, Topic};
use fold::Prepared;
use futures::future::try_join_all;
use record::{Offset, Partition, Record};
use runtime::shutdown::Shutdown;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::context::Context;
use super::lane_task::{LaneTask, Step};
use super::retry::{Attempts, retry};
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
        let decoder = Decoder::new(Arc::clone(&self.source), self.partition, self.topic.partitions);
        let mut reader = self.reader().await?;
        let mut next = Instant::now();
        loop {
            self.pulse.reading(reader.position());
            self.covered(reader.position());
            if until == Until::End && reader.position() >= self.end {
                return Ok(self.lanes);
            }
            if let Ok(lanes) = joining.try_recv() {
                self.lanes.extend(lanes);
                reader = self.reader().await?;
            }
            let paced = async {
                tokio::time::sleep_until(next).await;
                self.poll(reader.as_mut()).await
            };
            let Some(records) = shutdown.unless(paced).await else {
                return Ok(self.lanes);
            };
            let records = records?;
            if records.is_empty() {
                continue;
            }
            let settings = &self.context.settings;
            next = Instant::now();
            if records.len() < settings.batch_records {
                next += settings.pace();
            }
            self.pulse.committing();
            if self.step(&decoder, &records).await? == Step::Rewind {
                reader = self.reader().await?;
            }
        }
    }

    /// A reader from the lowest position of the lanes.
    async fn reader(&self) -> Result<Box<dyn Reader>, Error> {
        self.pulse.opening();
        let from = self.lanes.iter().map(|lane| lane.head().next).min().unwrap_or(self.end);
        retry(&self.context, "opening a reader", || {
            self.context.log.reader(&self.source.topic, self.partition, from)
        })
        .await
    }

    async fn poll(&self, reader: &mut dyn Reader) -> Result<Vec<Record>, Error> {
        let settings = &self.context.settings;
        let mut attempts = Attempts::new(&self.context, "reading the log");
        loop {
            match reader.next(settings.batch_records, settings.poll_wait()).await {
                Ok(records) => return Ok(records),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Decodes once and lets every lane fold and commit; their store calls overlap.
    async fn step(&mut self, decoder: &Decoder, records: &[Record]) -> Result<Step, Error> {
        let cells = &self.context.shared.counters;
        counters::add(&cells.records, records.len());
        counters::add(&cells.batches, 1);
        let batch = busy(records.len(), || decoder.decode(records));
        let prepared = busy(records.len(), || Prepared::new(&batch, &self.source));
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
