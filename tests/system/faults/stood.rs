//! Waiting, and how long it took.

use std::time::Duration;

use tokio::time::Instant;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `done`; how long that was.
pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
    start.elapsed()
}

/// How long work stood still after each fault.
#[derive(Debug, Default)]
pub(super) struct Stood(Vec<Duration>);

impl Stood {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Half of the times are no longer than the first, none is longer than the second, in milliseconds.
    pub(super) fn p50_and_max_ms(&self) -> [String; 2] {
        let mut times = self.0.clone();
        times.sort_unstable();
        let at =
            |n: usize| times.get(n).map_or("–".to_owned(), |time| time.as_millis().to_string());
        let last = times.len().saturating_sub(1);
        [at(last / 2), at(last)]
    }
}
