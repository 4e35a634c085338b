//! The tasks of an updater, as its membership in the group says: they start where partitions are assigned,
//! end after their commit where these are revoked, and at once where they are lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_log::{Change, Membership, Share};
use hashbrown::HashMap;
use record::Offset;
use runtime::shutdown::{self, Shutdown, Trigger};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::context::Context;
use super::elsewhere::Elsewhere;
use super::share::{Act, End, FENCED_MAX, Held};
use super::shared::Shared;
use super::source_partition::Until;
use super::{Error, Handle, SourceLanes, claim, counters, hint};

/// How often it is looked whether a time has come.
const TICK: Duration = Duration::from_millis(50);
/// How often the group is told how far its shares are covered.
const HINT: Duration = Duration::from_secs(5);

/// Keeps one task at each share that the updater has.
pub(super) struct Crew {
    context: Arc<Context>,
    sources: Arc<[Arc<SourceLanes>]>,
    membership: Box<dyn Membership>,
    /// The group is not to be heard any more.
    expelled: bool,
    until: Until,
    shares: BTreeMap<Share, Held>,
    tasks: JoinSet<Result<(), Error>>,
    running: HashMap<Id, Running>,
    elsewhere: Elsewhere,
    /// The updater ends: nothing is started any more.
    stopping: bool,
    result: Result<(), Error>,
    hinted: Instant,
    _ended: Ended,
}

/// Says that the updater has ended, however it did.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

struct Running {
    share: Share,
    stop: Trigger,
    abort: AbortHandle,
}

impl Crew {
    pub(super) fn new(
        context: Arc<Context>,
        sources: Arc<[Arc<SourceLanes>]>,
        membership: Box<dyn Membership>,
        until: Until,
    ) -> Self {
        let elsewhere = match membership.is_shared() {
            true => Elsewhere::Unasked,
            false => Elsewhere::Covered,
        };
        let _ended = Ended(Arc::clone(&context.shared));
        Self {
            context,
            sources,
            membership,
            expelled: false,
            until,
            shares: BTreeMap::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            elsewhere,
            stopping: false,
            result: Ok(()),
            hinted: Instant::now(),
            _ended,
        }
    }

    /// Works until `shutdown`, the end of a drain, or the first error; then leaves the group.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), Error> {
        let mut is_cut_short = false;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over() {
            tokio::select! {
                biased;
                () = shutdown.wait(), if !self.stopping => {
                    is_cut_short = self.until == Until::End;
                    self.stop();
                }
                change = self.membership.next(), if !self.expelled => self.change(change),
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                covered = self.elsewhere.covered() => self.covered(covered),
                _ = ticks.tick() => self.tick(),
            }
        }
        self.hint();
        let is_shared = self.membership.is_shared();
        let is_covered = !is_shared && Handle::new(Arc::clone(&self.context.shared)).is_caught_up();
        let Self { membership, result, .. } = self;
        membership.leave().await;
        match is_cut_short && !is_covered {
            true => result.and(Err(Error::CutShort)),
            false => result,
        }
    }

    fn is_over(&self) -> bool {
        if self.stopping {
            return self.tasks.is_empty();
        }
        self.is_done() && matches!(self.elsewhere, Elsewhere::Covered)
    }

    /// Whether a drain has nothing more to do with the shares that it has.
    fn is_done(&self) -> bool {
        self.until == Until::End
            && *self.context.shared.joined.borrow()
            && self.shares.values().all(Held::is_done)
    }

    fn change(&mut self, change: Result<Change, event_log::Error>) {
        let cells = &self.context.shared.counters;
        let deadline = Instant::now() + self.context.settings.release_limit();
        match change {
            Ok(Change::Assigned(shares)) => {
                counters::add(&cells.partitions_assigned, shares.len());
                for share in shares {
                    self.assigned(share);
                }
                // After its slots: until then nobody has caught up.
                self.context.shared.joined.send_replace(true);
            }
            Ok(Change::Revoked(shares)) => {
                counters::add(&cells.partitions_revoked, shares.len());
                for share in shares {
                    match self.shares.get_mut(&share).map(|held| held.revoked(deadline)) {
                        Some(act) => self.act(&share, act),
                        // Nothing was begun, as when the updater stops.
                        None => self.membership.release(&[share]),
                    }
                }
            }
            Ok(Change::Lost(shares)) => {
                counters::add(&cells.partitions_lost, shares.len());
                for share in shares {
                    self.lost(&share);
                }
            }
            Err(error) => {
                self.expelled = true;
                for share in self.shares.keys().cloned().collect::<Vec<_>>() {
                    self.lost(&share);
                }
                self.fail(error.into());
            }
        }
    }

    fn assigned(&mut self, share: Share) {
        if self.stopping {
            // Given back with everything else when the updater leaves.
            return;
        }
        // The group learns of new partitions before a reader of ours does.
        let partitions = self.sources_of(&share).map(|source| source.topic.partitions).max();
        if let Some(expected) = partitions.filter(|expected| share.partition.0 >= *expected) {
            let (topic, found) = (share.topic.to_string(), share.partition.0 + 1);
            self.fail(event_log::Error::Partitions { topic, found, expected }.into());
            return;
        }
        let act = match self.shares.get_mut(&share) {
            Some(held) => held.assigned(),
            None => {
                self.shares.insert(share.clone(), Held::new());
                Act::Start
            }
        };
        self.act(&share, act);
    }

    fn lost(&mut self, share: &Share) {
        if let Some(act) = self.shares.get_mut(share).map(Held::lost) {
            // Whoever waits for its commits waits for the store from now on.
            self.hold(share, false);
            self.act(share, act);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<(), Error>), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended.map(|()| End::Finished)),
            Err(error) if error.is_cancelled() => (error.id(), Ok(End::Dropped)),
            Err(error) => (error.id(), Err(Error::Panicked(error.to_string()))),
        };
        let share = self.running.remove(&id).expect("every task is on the list").share;
        let end = match ended {
            Ok(end) => end,
            Err(error @ Error::Fenced { .. }) if self.membership.is_shared() => {
                counters::add(&self.context.shared.counters.fenced, 1);
                tracing::warn!(%error, "a partition was taken over");
                self.hold(&share, false);
                End::Fenced
            }
            Err(error)
                if !matches!(error, Error::Panicked(_))
                    && self.shares.get(&share).is_some_and(Held::is_gone) =>
            {
                tracing::warn!(%error, "a partition that is another updater's now");
                End::Finished
            }
            Err(error) => {
                self.fail(error);
                End::Finished
            }
        };
        let (now, settle) = (Instant::now(), self.context.settings.settle());
        if let Some(act) = self.shares.get_mut(&share).map(|held| held.ended(end, now, settle)) {
            self.act(&share, act);
        }
    }

    fn act(&mut self, share: &Share, act: Act) {
        let running = self.running.values().find(|running| running.share == *share);
        match act {
            Act::Nothing => {}
            Act::Start => self.start(share),
            Act::Stop => running.iter().for_each(|running| running.stop.shut_down()),
            Act::Drop => running.iter().for_each(|running| running.abort.abort()),
            Act::Release => {
                self.forget(share);
                self.membership.release(std::slice::from_ref(share));
            }
            Act::Forget => self.forget(share),
            Act::Contested => {
                let (topic, partition) = (share.topic.to_string(), share.partition);
                self.fail(Error::Contested { topic, partition, fenced: FENCED_MAX });
            }
        }
    }

    fn start(&mut self, share: &Share) {
        self.hold(share, true);
        let sources = self.sources_of(share).cloned().collect();
        let (stop, stopped) = shutdown::channel();
        let work =
            claim::work(Arc::clone(&self.context), sources, share.partition, self.until, stopped);
        let abort = self.tasks.spawn(work);
        self.running.insert(abort.id(), Running { share: share.clone(), stop, abort });
    }

    fn forget(&mut self, share: &Share) {
        self.shares.remove(share);
        // An updater that has ended tells how far it came.
        if !self.stopping {
            self.hold(share, false);
        }
    }

    /// Says in the slots whether the updater works on the share.
    fn hold(&self, share: &Share, held: bool) {
        for source in self.sources_of(share) {
            for (lane, end) in source.lanes_in(share.partition) {
                self.context.shared.slot(lane.id, share.partition).send_modify(|progress| {
                    progress.held = held;
                    if held {
                        progress.head = None;
                        progress.caught_up = end == Offset(0);
                    }
                });
            }
        }
    }

    fn sources_of(&self, share: &Share) -> impl Iterator<Item = &Arc<SourceLanes>> + use<'_> {
        let topic = Arc::clone(&share.topic);
        self.sources.iter().filter(move |source| *source.source.topic == *topic)
    }

    fn covered(&mut self, covered: Result<(), Error>) {
        self.elsewhere = Elsewhere::Covered;
        if let Err(error) = covered {
            self.fail(error);
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for share in self.shares.keys().cloned().collect::<Vec<_>>() {
            if let Some(act) = self.shares.get_mut(&share).map(|held| held.tick(now)) {
                self.act(&share, act);
            }
        }
        if !self.stopping && self.is_done() {
            self.elsewhere.ask(&self.context, &self.sources);
        }
        if now >= self.hinted + HINT {
            self.hinted = now;
            self.hint();
        }
    }

    /// Tells the group how far it is, for those who watch its lag.
    fn hint(&mut self) {
        let shared = &self.context.shared;
        self.membership.hint(&hint::covered(shared, &self.sources));
        let failed = self.membership.hints_failed();
        shared.counters.hints_failed.store(failed, Ordering::Relaxed);
    }

    /// Keeps the first error and ends the updater.
    fn fail(&mut self, error: Error) {
        tracing::error!(%error, "stopping the updater");
        self.result = std::mem::replace(&mut self.result, Ok(())).and(Err(error));
        self.stop();
    }

    /// Lets every task end after its commit.
    fn stop(&mut self) {
        self.stopping = true;
        if let Elsewhere::Asked(_) = self.elsewhere {
            self.elsewhere = Elsewhere::Unasked;
        }
        let deadline = Instant::now() + self.context.settings.release_limit();
        for share in self.shares.keys().cloned().collect::<Vec<_>>() {
            if let Some(act) = self.shares.get_mut(&share).map(|held| held.stopped(deadline)) {
                self.act(&share, act);
            }
        }
    }
}
