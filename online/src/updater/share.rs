//! What an updater does with one of its shares: decisions only.

use std::time::Duration;

use tokio::time::Instant;

/// Times that a share may be fenced since it was assigned, before the stranger who does it is complained of.
pub(super) const FENCED_MAX: u32 = 10;

/// A share of the group's partitions.
#[derive(Debug)]
pub(super) struct Held {
    wish: Wish,
    phase: Phase,
    /// Whether its task was told to end, or dropped.
    told: bool,
    /// When a task that was told to end is dropped.
    deadline: Option<Instant>,
    /// Times that it was fenced since it was assigned.
    fenced: u32,
}

/// What is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is ours.
    Keep,
    /// Another member is to have it, once it is released.
    Release,
    /// Another member may have it already.
    Gone,
    /// The updater stops.
    Stop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is a task.
    Working,
    /// Another updater has claimed it: soon the group says that it is not ours, or it is claimed again.
    Resting { until: Instant },
    /// What was to be covered is.
    Done,
}

/// How a task ended, where nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Because it had covered everything, or was told to.
    Finished,
    /// Another updater has claimed the lane.
    Fenced,
    /// It was dropped.
    Dropped,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    /// Start a task.
    Start,
    /// Tell the task to end after its commit.
    Stop,
    /// Drop the task where it stands: what it has not committed is not there.
    Drop,
    /// It is over: tell the group so.
    Release,
    /// It is over, and nobody waits for it.
    Forget,
    /// Complain of the stranger who claims it again and again.
    Contested,
}

impl Held {
    /// A share that was assigned just now; its task is to be started.
    pub(super) fn new() -> Self {
        Self { wish: Wish::Keep, phase: Phase::Working, told: false, deadline: None, fenced: 0 }
    }

    /// It is ours again, though its last task may not be gone yet.
    pub(super) fn assigned(&mut self) -> Act {
        self.wish = Wish::Keep;
        self.fenced = 0;
        match self.phase {
            Phase::Working => Act::Nothing,
            Phase::Resting { .. } | Phase::Done => self.start(),
        }
    }

    pub(super) fn revoked(&mut self, deadline: Instant) -> Act {
        self.end(Wish::Release, deadline)
    }

    /// The updater stops; who waits for a release still gets it.
    pub(super) fn stopped(&mut self, deadline: Instant) -> Act {
        match self.wish {
            Wish::Keep => self.end(Wish::Stop, deadline),
            Wish::Release | Wish::Gone | Wish::Stop => Act::Nothing,
        }
    }

    pub(super) fn lost(&mut self) -> Act {
        self.wish = Wish::Gone;
        match self.phase {
            Phase::Working => {
                (self.told, self.deadline) = (true, None);
                Act::Drop
            }
            Phase::Resting { .. } | Phase::Done => Act::Forget,
        }
    }

    /// Its task has ended.
    pub(super) fn ended(&mut self, end: End, now: Instant, settle: Duration) -> Act {
        let told = std::mem::take(&mut self.told);
        self.deadline = None;
        match (self.wish, end) {
            (Wish::Release, _) => Act::Release,
            (Wish::Gone | Wish::Stop, _) => Act::Forget,
            // It was told to end before it became ours again.
            (Wish::Keep, _) if told => self.start(),
            (Wish::Keep, End::Dropped) => self.start(),
            (Wish::Keep, End::Finished) => {
                self.phase = Phase::Done;
                Act::Nothing
            }
            (Wish::Keep, End::Fenced) => {
                self.fenced += 1;
                self.phase = Phase::Resting { until: now + settle };
                if self.fenced > FENCED_MAX { Act::Contested } else { Act::Nothing }
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Act {
        match self.phase {
            Phase::Working if self.deadline.is_some_and(|deadline| deadline <= now) => {
                self.deadline = None;
                Act::Drop
            }
            Phase::Resting { until } if until <= now && self.wish == Wish::Keep => self.start(),
            Phase::Working | Phase::Resting { .. } | Phase::Done => Act::Nothing,
        }
    }

    /// Whether what was to be covered is, for as long as it is ours.
    pub(super) fn is_done(&self) -> bool {
        self.wish == Wish::Keep && self.phase == Phase::Done
    }

    /// Whether it is another member's already.
    pub(super) fn is_gone(&self) -> bool {
        self.wish == Wish::Gone
    }

    fn start(&mut self) -> Act {
        self.phase = Phase::Working;
        Act::Start
    }

    fn end(&mut self, wish: Wish, deadline: Instant) -> Act {
        self.wish = wish;
        match self.phase {
            Phase::Working if self.told => Act::Nothing,
            Phase::Working => {
                (self.told, self.deadline) = (true, Some(deadline));
                Act::Stop
            }
            Phase::Resting { .. } | Phase::Done if wish == Wish::Release => Act::Release,
            Phase::Resting { .. } | Phase::Done => Act::Forget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);

    fn ended(held: &mut Held, end: End) -> Act {
        held.ended(end, Instant::now(), SETTLE)
    }

    #[test]
    fn what_is_revoked_ends_after_its_commit_and_is_released_once() {
        let (mut held, now) = (Held::new(), Instant::now());
        assert_eq!(held.revoked(now + SETTLE), Act::Stop);
        assert_eq!(held.stopped(now), Act::Nothing, "it ends already, and is waited for");
        assert_eq!(held.tick(now), Act::Nothing);
        assert_eq!(ended(&mut held, End::Finished), Act::Release);
        // One that hangs is dropped, and fenced by whoever comes next.
        let mut hangs = Held::new();
        hangs.revoked(now);
        assert_eq!(hangs.tick(now), Act::Drop);
        assert_eq!(hangs.tick(now), Act::Nothing, "once");
        assert_eq!(ended(&mut hangs, End::Dropped), Act::Release);
        // What has no task is released at once.
        let mut done = Held::new();
        assert_eq!(ended(&mut done, End::Finished), Act::Nothing);
        assert!(done.is_done());
        assert_eq!(done.revoked(now), Act::Release);
    }

    #[test]
    fn what_is_lost_is_dropped_at_once_and_not_released() {
        let mut held = Held::new();
        assert_eq!(held.lost(), Act::Drop);
        assert_eq!(ended(&mut held, End::Fenced), Act::Forget);
        // A revocation that was under way does not matter any more.
        let mut held = Held::new();
        held.revoked(Instant::now() + SETTLE);
        assert_eq!(held.lost(), Act::Drop);
        assert_eq!(ended(&mut held, End::Dropped), Act::Forget);
    }

    #[test]
    fn what_comes_back_waits_for_its_last_task() {
        let mut held = Held::new();
        held.lost();
        assert_eq!(held.assigned(), Act::Nothing, "one task at a time");
        assert_eq!(ended(&mut held, End::Dropped), Act::Start);
        assert_eq!(ended(&mut held, End::Finished), Act::Nothing);
        assert!(held.is_done(), "and this one was told nothing");
    }

    #[test]
    fn what_is_fenced_is_claimed_again_if_it_stays_ours() {
        let (mut held, now) = (Held::new(), Instant::now());
        assert_eq!(held.ended(End::Fenced, now, SETTLE), Act::Nothing);
        assert_eq!(held.tick(now), Act::Nothing);
        assert_eq!(held.tick(now + SETTLE), Act::Start);
        assert_eq!(held.ended(End::Fenced, now, SETTLE), Act::Nothing);
        assert_eq!(held.lost(), Act::Forget, "it was not");
    }

    #[test]
    fn a_stranger_is_complained_of() {
        let (mut held, now) = (Held::new(), Instant::now());
        for _ in 0..FENCED_MAX {
            assert_eq!(held.ended(End::Fenced, now, SETTLE), Act::Nothing);
            assert_eq!(held.tick(now + SETTLE), Act::Start);
        }
        assert_eq!(held.ended(End::Fenced, now, SETTLE), Act::Contested);
        // Partitions that change hands are no sign of one.
        assert_eq!(held.assigned(), Act::Start);
        assert_eq!(held.ended(End::Fenced, now, SETTLE), Act::Nothing);
    }

    #[test]
    fn an_updater_that_stops_lets_tasks_end() {
        let (mut held, now) = (Held::new(), Instant::now());
        assert_eq!(held.stopped(now + SETTLE), Act::Stop);
        assert_eq!(held.revoked(now), Act::Nothing, "it ends already");
        assert_eq!(ended(&mut held, End::Finished), Act::Release);
        let mut resting = Held::new();
        ended(&mut resting, End::Fenced);
        assert_eq!(resting.stopped(now), Act::Forget);
    }
}
