//! What a drain waits for when its own partitions are covered: those of the group's other members.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::context::Context;
use super::error::LogEnd;
use super::goal::Goal;
use super::{Error, SourceLanes};

/// How often the store's heads are looked at.
const EVERY: Duration = Duration::from_millis(200);

/// Whether the partitions of other members are covered. Asked when ours are.
pub(super) enum Elsewhere {
    Unasked,
    Asked(JoinSet<Result<(), Error>>),
    Covered,
}

impl Elsewhere {
    /// Begins to ask, unless that was done.
    pub(super) fn ask(&mut self, context: &Arc<Context>, sources: &[Arc<SourceLanes>]) {
        if let Self::Unasked = self {
            let goals = sources.iter().flat_map(|source| source.goals()).collect();
            let mut asking = JoinSet::new();
            asking.spawn(covered(Arc::clone(context), goals));
            *self = Self::Asked(asking);
        }
    }

    /// Waits for the answer to what was asked.
    pub(super) async fn covered(&mut self) -> Result<(), Error> {
        let Self::Asked(asking) = self else { return std::future::pending().await };
        match asking.join_next().await {
            Some(Ok(covered)) => covered,
            Some(Err(error)) => Err(Error::Panicked(error.to_string())),
            None => std::future::pending().await,
        }
    }
}

/// Waits until every goal is reached, whoever sees to it.
///
/// # Errors
/// [`Error::Stalled`] when none of those that are left comes any further: their updater hangs, or knows
/// nothing of their lane.
async fn covered(context: Arc<Context>, mut goals: Vec<Goal>) -> Result<(), Error> {
    let limit = context.settings.stall_limit();
    let mut quiet = Duration::ZERO;
    loop {
        let mut moved = false;
        let mut left = Vec::new();
        for mut goal in goals {
            let before = goal.head;
            let covered = goal.look(&*context.log, &*context.store).await.is_some();
            moved |= covered || goal.head != before;
            if !covered {
                left.push(goal);
            }
        }
        let Some(first) = left.first() else { return Ok(()) };
        quiet = if moved { Duration::ZERO } else { quiet + EVERY };
        if quiet >= limit {
            return Err(Error::Stalled {
                of: first.lane.source.name.clone(),
                partition: first.partition,
                doing: "waiting for the updater of the group that has it",
                position: first.head.unwrap_or_default(),
                end: LogEnd(Some(first.next)),
                limit_ms: context.settings.stall_limit_ms,
            });
        }
        goals = left;
        tokio::time::sleep(EVERY).await;
    }
}
