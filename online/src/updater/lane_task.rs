//! One lane in one partition: from a decoded batch to one commit.

use std::sync::Arc;

use candidates::joined_row::ITEM_ENTITY;
use definitions::Lane;
use event_log::Topic;
use fold::{Changes, Head, LanePartition, Ledger, Prepared, StateKey};
use online_store::{Commit, Outcome, OwnerToken, StoredHead};
use record::{AppendTime, Hex, Offset, Partition, Record};
use tokio::time::Instant;
use tracing::Level;

use super::context::Context;
use super::measures::Reasons;
use super::published::Published;
use super::retry::retry;
use super::side_topics::SideRecords;
use super::sweep::Sweep;
use super::{Error, counters, interest};
use crate::busy::busy;
use crate::service::trace::TARGET;

/// Every state that definitions allow goes into a store.
const _: () =
    assert!(definitions::lane::STATE_BYTES_MAX <= online_store::VALUE_BYTES_MAX as u64 / 2);

/// Replays in a row, without a commit between them, before the updater gives up.
const REPLAYS_MAX: u32 = 20;

/// A lane's state in a partition with its claim on the store.
pub(super) struct LaneTask {
    lane: Arc<Lane>,
    partition: Partition,
    topic: Topic,
    owner: OwnerToken,
    fold: LanePartition,
    /// Position that the store holds; `None`: nothing is committed yet.
    stored: Option<Offset>,
    /// The ledger as of the last commit.
    ledger: Ledger,
    /// Everything before it was measured when it became visible.
    seen: Offset,
    /// Replays since the last commit.
    replays: u32,
    sweep: Sweep,
}

/// States that a commit wrote, by key; `None`: removed.
type Changed = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What became of a batch in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything in it is covered.
    Covered,
    /// The store is elsewhere: memory was dropped, read again from the lane's position.
    Rewind,
}

impl LaneTask {
    /// Claims the (lane, partition) and takes the store's head as the truth.
    pub(super) async fn claim(
        context: &Context,
        lane: Arc<Lane>,
        partition: Partition,
        topic: Topic,
    ) -> Result<Self, Error> {
        let owner = OwnerToken(context.entropy.bytes());
        let stored =
            retry(context, "claiming a lane", || context.store.claim(lane.id, partition, owner))
                .await?;
        let head = decode(&lane, partition, stored.as_ref())?;
        let start = head.clone().unwrap_or_else(|| Head::start(topic.log));
        Ok(Self {
            ledger: start.ledger,
            seen: Offset(0),
            fold: LanePartition::new(Arc::clone(&lane), partition, start),
            lane,
            partition,
            topic,
            owner,
            sweep: Sweep::new(head.is_some()),
            stored: head.map(|head| head.next),
            replays: 0,
        })
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// The head as of the last commit (no batch is ever applied without being committed).
    pub(super) fn head(&self) -> &Head {
        self.fold.head()
    }

    /// Whether anything is committed yet.
    pub(super) fn is_new(&self) -> bool {
        self.stored.is_none()
    }

    /// Folds the batch and commits it.
    pub(super) async fn step(
        &mut self,
        context: &Context,
        records: &[Record],
        prepared: &Prepared<'_>,
    ) -> Result<Step, Error> {
        let batch = prepared.batch();
        let covered = batch.offsets.partition_point(|offset| *offset < self.fold.head().next);
        counters::add(&context.shared.counters.covered_again, covered);
        if covered == batch.offsets.len() {
            return Ok(Step::Covered);
        }
        if !self.load_missing(context, prepared).await? {
            return self.reload(context).await;
        }
        let (side, changes) = busy(batch.offsets.len(), || {
            let columns = self.lane.evaluate(batch);
            let verdicts = self.fold.apply_prepared(prepared, &columns);
            let side =
                SideRecords::collect(&self.lane, self.topic, records, batch, &columns, &verdicts);
            (side, self.fold.take_changes())
        });
        let reasons = side.reasons;
        side.write(context).await?;
        self.commit(context, changes, &records[covered..], &reasons).await
    }

    /// Reads the states that the batch needs; `false`: the store moved meanwhile.
    async fn load_missing(
        &mut self,
        context: &Context,
        prepared: &Prepared<'_>,
    ) -> Result<bool, Error> {
        let missing = self.fold.missing_prepared(prepared);
        for keys in missing.chunks(context.settings.read_keys) {
            if self.stored.is_none() {
                // Nothing is committed, so nothing is stored: spare a bootstrap its reads.
                break;
            }
            let bytes: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
            let snapshot = retry(context, "reading states", || {
                context.store.read(self.lane.id, self.partition, &bytes)
            })
            .await?;
            if snapshot.head.as_ref().map(|head| head.next) != self.stored {
                return Ok(false);
            }
            counters::add(&context.shared.counters.states_read, keys.len());
            for (key, value) in keys.iter().zip(snapshot.values) {
                self.fold.load(key.clone(), value.as_deref()).map_err(|e| self.damaged(e))?;
            }
        }
        Ok(true)
    }

    /// Commits what the `records`, which were not covered before, have changed.
    async fn commit(
        &mut self,
        context: &Context,
        mut changes: Changes,
        records: &[Record],
        reasons: &Reasons,
    ) -> Result<Step, Error> {
        let written = changes.states.len();
        let swept = self.sweep.add_to(&mut changes);
        let embeddings = context.shared.embeddings();
        let derived = interest::derived(&self.lane, self.fold.plan(), &changes, &embeddings)
            .map_err(|error| self.damaged(error))?;
        let cells = &context.shared.counters;
        let vectors = derived.iter().filter(|(_, vector)| vector.is_some()).count();
        let head = changes.head;
        let bytes = |(key, state): &(StateKey, Option<Vec<u8>>)| {
            state.as_ref().map_or(0, |state| key.as_bytes().len() + state.len())
        };
        let written_bytes = changes.states.iter().map(bytes).sum();
        let states = changes.states.into_iter();
        let states = states.map(|(key, bytes)| (key.into_bytes(), bytes)).collect();
        let commit = Commit {
            lane: self.lane.id,
            partition: self.partition,
            owner: self.owner,
            expected: self.stored,
            head: StoredHead { next: head.next, bytes: head.encode() },
            states,
            derived,
        };
        let start = Instant::now();
        let outcome = retry(context, "committing", || context.store.commit(&commit)).await?;
        match outcome {
            Outcome::Committed => {}
            Outcome::AlreadyCommitted => counters::add(&cells.lost_replies, 1),
            Outcome::Moved { .. } => return self.reload(context).await,
            Outcome::Fenced => {
                return Err(Error::Fenced { lane: self.lane.id, partition: self.partition });
            }
        }
        counters::add(&cells.commits, 1);
        counters::add(&cells.states_written, written);
        counters::add(&cells.state_bytes_written, written_bytes);
        counters::add(&cells.states_swept, swept);
        counters::add(&cells.vectors_written, vectors);
        let measures = context.shared.measures(self.lane.id);
        measures.committed(self.ledger, head.ledger, reasons, start.elapsed());
        self.ledger = head.ledger;
        self.seen(context, records);
        self.trace(records);
        let previous = self.stored.replace(head.next);
        self.replays = 0;
        let reached = records.last().map(|record| record.append_time);
        self.tell(context, previous, head, reached, commit.states);
        self.fold.evict(context.memory_bytes_each);
        self.look_for_silent_keys(context, written).await?;
        Ok(Step::Covered)
    }

    /// Reads a page of the states, where there may be some to sweep: twice as many keys as were `written`, at
    /// least, or a walk would not reach the end of a store that grows.
    async fn look_for_silent_keys(
        &mut self,
        context: &Context,
        written: usize,
    ) -> Result<(), Error> {
        let watermark = self.fold.head().watermark;
        let Some(from) = self.sweep.next_page(&self.lane, watermark) else { return Ok(()) };
        let keys = context.settings.sweep_keys.max(2 * written);
        let page = context.store.page(self.lane.id, self.partition, from, keys).await;
        let page = match page {
            // The next commit will do.
            Err(online_store::Error::Unavailable { .. }) => return Ok(()),
            page => page?,
        };
        // If the store has moved, the next commit finds out; this page is of no use then.
        if page.head.as_ref().map(|head| head.next) != self.stored {
            return Ok(());
        }
        self.sweep.take(&self.lane, page, watermark).map_err(|error| self.damaged(error))
    }

    /// Measures how long after their append records are visible: once each, and only those that came after the
    /// start, for a backlog is as old as it is.
    fn seen(&mut self, context: &Context, records: &[Record]) {
        let Some(last) = records.last() else { return };
        let shared = &context.shared;
        let from = self.seen.max(shared.slot(self.lane.id, self.partition).borrow().end);
        let new = &records[records.partition_point(|record| record.offset < from)..];
        if !new.is_empty() {
            shared.measures(self.lane.id).visible(new, context.clock.now());
            self.seen = last.offset.next();
        }
    }

    /// The end of the way of each event that told where it came from.
    fn trace(&self, records: &[Record]) {
        if !tracing::enabled!(target: TARGET, Level::DEBUG) {
            return;
        }
        for record in records {
            if let Some(trace) = &record.trace {
                tracing::debug!(
                    target: TARGET,
                    trace_id = %Hex(&trace.id),
                    source = self.lane.source.name,
                    entity = self.lane.entity,
                    partition = %record.partition,
                    offset = %record.offset,
                    "committed"
                );
            }
        }
    }

    /// Tells the handles and the followers of what was committed.
    fn tell(
        &self,
        context: &Context,
        previous: Option<Offset>,
        head: Head,
        reached: Option<AppendTime>,
        states: Changed,
    ) {
        let (lane, partition, shared) = (self.lane.id, self.partition, &context.shared);
        shared.slot(lane, partition).send_modify(|progress| {
            progress.caught_up |= head.next >= progress.end;
            progress.head = Some(head.clone());
            progress.reached = reached;
        });
        // Who begins to follow from here on finds the commit in the store.
        if self.lane.entity == ITEM_ENTITY && shared.published.receiver_count() > 0 {
            let states = states.into_iter();
            let states = states.map(|(key, state)| (StateKey::from_bytes(&key), state)).collect();
            // No receiver is no failure: nobody follows.
            let _ = shared.published.send(Published { lane, partition, previous, head, states });
        }
    }

    /// Drops the memory and goes back to where the store is.
    async fn reload(&mut self, context: &Context) -> Result<Step, Error> {
        let (lane, partition) = (self.lane.id, self.partition);
        self.replays += 1;
        if self.replays > REPLAYS_MAX {
            return Err(Error::Restless { lane, partition, replays: REPLAYS_MAX });
        }
        counters::add(&context.shared.counters.replays, 1);
        let snapshot =
            retry(context, "reloading a head", || context.store.read(lane, partition, &[])).await?;
        let head = decode(&self.lane, partition, snapshot.head.as_ref())?;
        let (had, stored) = (self.stored.map(|at| at.0), head.as_ref().map(|head| head.next.0));
        tracing::warn!(%lane, %partition, had, stored, "the store moved: replaying");
        self.stored = head.as_ref().map(|head| head.next);
        self.sweep = Sweep::new(self.stored.is_some());
        let start = head.unwrap_or_else(|| Head::start(self.topic.log));
        self.ledger = start.ledger;
        self.fold = LanePartition::new(Arc::clone(&self.lane), partition, start);
        if self.replays > 1 {
            tokio::time::sleep(context.settings.backoff(self.replays)).await;
        }
        Ok(Step::Rewind)
    }

    fn damaged(&self, source: fold::Error) -> Error {
        Error::State { lane: self.lane.id, partition: self.partition, source }
    }
}

/// The fold's head out of a stored one.
pub(super) fn decode(
    lane: &Lane,
    partition: Partition,
    stored: Option<&StoredHead>,
) -> Result<Option<Head>, Error> {
    stored.map(|stored| Head::decode(&stored.bytes)).transpose().map_err(|source| Error::State {
        lane: lane.id,
        partition,
        source,
    })
}
