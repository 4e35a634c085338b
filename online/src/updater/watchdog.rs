//! Nothing happens though there is something to do: fails loudly instead of waiting for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use definitions::Source;
use record::{Offset, Partition};
use tokio::time::{sleep, timeout};

use super::context::Context;
use super::error::{Error, LogEnd};

/// Looks, one after the other, that have to find no progress. Counted, not timed: a process that was stopped
/// in between has not stalled.
const LOOKS: u32 = 8;

/// What a task is about; cheap to clone, all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    /// Steps that were made: reads, commits, whatever comes to an end.
    steps: AtomicU64,
    /// Everything before it is covered.
    position: AtomicU64,
    doing: AtomicU8,
}

const CLAIMING: u8 = 0;
const OPENING: u8 = 1;
const READING: u8 = 2;
const COMMITTING: u8 = 3;

impl Pulse {
    /// A reader is being opened.
    pub(super) fn opening(&self) {
        self.step(OPENING);
    }

    /// The next record is waited for; all before `position` is covered.
    pub(super) fn reading(&self, position: Offset) {
        let moved = self.0.position.swap(position.0, Ordering::Relaxed) != position.0;
        if moved || self.0.doing.load(Ordering::Relaxed) != READING {
            self.step(READING);
        }
    }

    /// What was read is on its way into the store.
    pub(super) fn committing(&self) {
        self.step(COMMITTING);
    }

    fn step(&self, doing: u8) {
        self.0.doing.store(doing, Ordering::Relaxed);
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    fn position(&self) -> Offset {
        Offset(self.0.position.load(Ordering::Relaxed))
    }

    fn is_reading(&self) -> bool {
        self.0.doing.load(Ordering::Relaxed) == READING
    }

    fn doing(&self) -> &'static str {
        match self.0.doing.load(Ordering::Relaxed) {
            CLAIMING => "claiming its lanes",
            OPENING => "opening a reader",
            READING => "waiting for a record",
            _ => "committing",
        }
    }
}

/// Runs `work` unless it stalls: it makes no step though it is not at the log's end.
///
/// # Errors
/// The work's own; [`Error::Stalled`].
pub(super) async fn guard<T>(
    context: &Context,
    source: &Source,
    partition: Partition,
    pulse: &Pulse,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        done = work => done,
        stalled = stall(context, source, partition, pulse) => Err(stalled),
    }
}

/// Waits until the work has stalled: until so many looks in a row have found no step, and either lag, or a
/// log that does not say whether there is any. Lag that has just come has kept nobody waiting.
async fn stall(context: &Context, source: &Source, partition: Partition, pulse: &Pulse) -> Error {
    let limit = context.settings.stall_limit();
    let (mut seen, mut quiet, mut unanswered) = (pulse.steps(), 0, 0);
    loop {
        sleep(limit / LOOKS).await;
        if std::mem::replace(&mut seen, pulse.steps()) != seen {
            (quiet, unanswered) = (0, 0);
            continue;
        }
        let mut end = None;
        if pulse.is_reading() || quiet + 1 == LOOKS {
            end = end_of(context, source, partition).await;
        }
        let position = pulse.position();
        match end {
            _ if pulse.steps() != seen => continue,
            Some(end) if pulse.is_reading() && end <= position => (quiet, unanswered) = (0, 0),
            None if pulse.is_reading() => (quiet, unanswered) = (0, unanswered + 1),
            _ => (quiet, unanswered) = (quiet + 1, 0),
        }
        if quiet >= LOOKS || unanswered >= LOOKS {
            return Error::Stalled {
                of: source.name.clone(),
                partition,
                doing: pulse.doing(),
                position,
                end: LogEnd(end),
                limit_ms: context.settings.stall_limit_ms,
            };
        }
    }
}

/// Where the log of a partition ends, if it says so.
async fn end_of(context: &Context, source: &Source, partition: Partition) -> Option<Offset> {
    let limit = context.settings.stall_limit();
    match timeout(limit, context.log.bounds(&source.topic)).await {
        Ok(Ok(bounds)) => bounds.get(partition.0 as usize).map(|bounds| bounds.next),
        Ok(Err(error)) => {
            tracing::warn!(%error, "whether a partition has stalled cannot be said");
            None
        }
        Err(_) => None,
    }
}
