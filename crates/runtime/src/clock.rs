//! The clock: the only place that reads the system's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use record::{AppendTime, EventTime};

/// Wall time and a monotonic time, the system's or a test's own. Cheap to clone; clones of a manual
/// clock show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System { start: Instant },
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    wall_us: AtomicI64,
    monotonic_us: AtomicU64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Self {
        Self(Kind::System { start: Instant::now() })
    }

    /// A clock that stands at `at` until it is moved.
    #[must_use]
    pub fn manual(at: EventTime) -> Self {
        Self(Kind::Manual(Arc::new(Manual {
            wall_us: AtomicI64::new(at.0),
            monotonic_us: AtomicU64::new(0),
        })))
    }

    /// Wall time, in microseconds since the Unix epoch. It may step backwards.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> EventTime {
        match &self.0 {
            Kind::System { .. } => EventTime(match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
                Err(before) => {
                    i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us)
                }
            }),
            Kind::Manual(manual) => EventTime(manual.wall_us.load(Ordering::SeqCst)),
        }
    }

    /// Wall time in the unit of a log, in milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub fn append_time(&self) -> AppendTime {
        AppendTime(self.now().0.div_euclid(1000))
    }

    /// Time since the clock was made; it never steps backwards. For deadlines and durations.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System { start } => start.elapsed(),
            Kind::Manual(manual) => {
                Duration::from_micros(manual.monotonic_us.load(Ordering::SeqCst))
            }
        }
    }

    /// Moves a manual clock's wall and monotonic time forward.
    ///
    /// # Panics
    /// On the system's clock, which nobody can move.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        let manual = self.as_manual();
        manual.monotonic_us.fetch_add(micros, Ordering::SeqCst);
        manual.wall_us.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets a manual clock's wall time, as an operator or a time server might: also backwards.
    ///
    /// # Panics
    /// On the system's clock, which nobody can move.
    pub fn set(&self, at: EventTime) {
        self.as_manual().wall_us.store(at.0, Ordering::SeqCst);
    }

    fn as_manual(&self) -> &Manual {
        match &self.0 {
            Kind::Manual(manual) => manual,
            Kind::System { .. } => panic!("only a manual clock can be moved"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(EventTime(5_000_700));
        let clone = clock.clone();
        assert_eq!(clone.append_time(), AppendTime(5000));
        clock.advance(Duration::from_micros(300));
        assert_eq!(clone.now(), EventTime(5_001_000));
        clock.set(EventTime(1));
        assert_eq!((clone.now(), clone.monotonic()), (EventTime(1), Duration::from_micros(300)));
    }

    #[test]
    fn append_times_before_the_epoch_round_down() {
        assert_eq!(Clock::manual(EventTime(-1)).append_time(), AppendTime(-1));
    }

    #[test]
    fn the_system_clock_agrees_with_the_calendar() {
        let clock = Clock::system();
        let (first, second) = (clock.monotonic(), clock.monotonic());
        assert!(second >= first);
        let year_2020_us = 1_577_836_800_000_000;
        assert!(clock.now() > EventTime(year_2020_us), "{:?}", clock.now());
    }
}
