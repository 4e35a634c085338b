//! A circuit breaker: after some failures in a row nobody waits for a time-out any more, and one
//! probe at a time finds out when it is over. A plain state machine; time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Failures in a row that open it.
    pub(super) failures_max: u32,
    /// How long it stays open before a probe.
    pub(super) open_for: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many have failed in a row.
    Closed { failures: u32 },
    /// Calls are refused until then.
    Open { until: Instant },
    /// One call is out; the others are refused. Given up for lost after the time.
    Probing { until: Instant },
}

/// The breaker of one group of calls that fail together.
#[derive(Debug)]
pub(super) struct Breaker {
    limits: Limits,
    state: State,
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Refuses them.
    Open,
    /// Has let one through, to see whether the server is back, and refuses the others.
    Probing,
}

/// What a call that was let through is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// One of many.
    Normal,
    /// The one that finds out whether the server is back.
    Probe,
}

/// It is open: for how long still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) Duration);

impl Breaker {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Closed { failures: 0 } }
    }

    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Probing { .. } => BreakerState::Probing,
        }
    }

    /// Whether a call may pass.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Admission, Refused> {
        match self.state {
            State::Closed { .. } => Ok(Admission::Normal),
            State::Open { until } | State::Probing { until } if now < until => {
                Err(Refused(until - now))
            }
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { until: now + self.limits.open_for };
                Ok(Admission::Probe)
            }
        }
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// The server did not answer; whether that opened the breaker.
    pub(super) fn failed(&mut self, admission: Admission, now: Instant) -> bool {
        let open = State::Open { until: now + self.limits.open_for };
        match (self.state, admission) {
            (State::Closed { failures }, _) if failures + 1 < self.limits.failures_max => {
                self.state = State::Closed { failures: failures + 1 };
                false
            }
            (State::Closed { .. }, _) => {
                self.state = open;
                true
            }
            (State::Probing { .. }, Admission::Probe) => {
                self.state = open;
                false
            }
            // Sent before it opened; the probe decides.
            (State::Open { .. } | State::Probing { .. }, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_millis(1);

    fn breaker() -> Breaker {
        Breaker::new(Limits { failures_max: 3, open_for: OPEN_FOR })
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = breaker();
        for n in 1..=3 {
            let admission = breaker.admit(now).unwrap();
            assert_eq!(breaker.failed(admission, now), n == 3);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = breaker();
        for _ in 0..10 {
            for _ in 0..2 {
                assert!(!breaker.failed(Admission::Normal, now));
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now), Ok(Admission::Normal), "never three in a row");
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(opened(now).admit(now + MOMENT), Err(Refused(OPEN_FOR - MOMENT)));
        assert_eq!(opened(now).state(), BreakerState::Open);
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        assert_eq!(breaker.admit(later), Err(Refused(OPEN_FOR)), "one only");
        assert_eq!(breaker.state(), BreakerState::Probing);
        assert!(!breaker.failed(Admission::Normal, later), "a late failure says nothing new");
        assert!(!breaker.failed(Admission::Probe, later));
        assert_eq!(breaker.admit(later + MOMENT), Err(Refused(OPEN_FOR - MOMENT)));
        let later = later + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Ok(Admission::Normal));
        assert!(!breaker.failed(Admission::Normal, later), "it counts from the beginning");
    }

    #[test]
    fn a_probe_that_never_ends_is_given_up() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_FOR;
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        assert_eq!(breaker.admit(later + OPEN_FOR), Ok(Admission::Probe));
    }
}
