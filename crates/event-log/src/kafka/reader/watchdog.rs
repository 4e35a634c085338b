//! Nothing comes though there is something: fails loudly instead of waiting for ever.

use std::time::Duration;

use record::{Offset, Partition};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Ends, unavailable};
use crate::{Bounds, Error};

/// Notices that a reader has stalled.
pub(super) struct Watchdog {
    stall_timeout: Duration,
    /// When the position moved last, or the watchdog was satisfied.
    quiet_since: Instant,
    /// The partition's bounds, asked for beside the reader so that no call waits for them.
    question: Option<oneshot::Receiver<Result<Bounds, Error>>>,
}

impl Watchdog {
    pub(super) fn new(stall_timeout: Duration) -> Self {
        Self { stall_timeout, quiet_since: Instant::now(), question: None }
    }

    /// The position has moved.
    pub(super) fn progress(&mut self) {
        self.quiet_since = Instant::now();
        self.question = None;
    }

    /// Nothing came at `position`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nothing has come for long though the log goes on behind
    /// `position`, or does not say how far it goes. The time then runs anew.
    pub(super) fn look(&mut self, ends: &Ends, position: Offset) -> Result<(), Error> {
        if self.quiet_since.elapsed() < self.stall_timeout {
            return Ok(());
        }
        let question = self.question.get_or_insert_with(|| {
            let (answer, question) = oneshot::channel();
            let ends = ends.clone();
            // Nobody waits for it any more when the reader is gone.
            tokio::spawn(async move { drop(answer.send(ends.ask().await)) });
            question
        });
        let Ok(answer) = question.try_recv() else { return Ok(()) };
        self.progress();
        self.judge(&ends.known.name, ends.partition, position, answer?)
    }

    /// Whether there was anything to come.
    fn judge(
        &self,
        topic: &str,
        partition: Partition,
        position: Offset,
        bounds: Bounds,
    ) -> Result<(), Error> {
        if bounds.next <= position {
            return Ok(());
        }
        let (stalled_ms, end) = (self.stall_timeout.as_millis(), bounds.next);
        let what = format!("reading partition {partition} at {position}");
        let why = format!("no record came for {stalled_ms} ms though the log goes on to {end}");
        Err(unavailable(topic, &what, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_barks_when_there_is_something_to_come() {
        let watchdog = Watchdog::new(Duration::from_millis(1_234));
        let judge = |next| {
            let bounds = Bounds { first: Offset(0), next: Offset(next) };
            watchdog.judge("clicks", Partition(3), Offset(70), bounds).map_err(|e| e.to_string())
        };
        assert_eq!(judge(70), Ok(()));
        let error = judge(71).unwrap_err();
        for named in ["clicks", "partition 3", "at 70", "to 71", "1234 ms"] {
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}
