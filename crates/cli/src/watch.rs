//! Bars for batch jobs and for an updater that catches up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use online::updater::Handle;

use crate::follower::Follower;
use crate::output::Progress;

/// How often an updater's progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A listener that shows one bar a step. A step that knows no total counts up.
pub(crate) fn bars() -> Arc<batch::Watch> {
    followed(&Follower::Here)
}

/// As [`bars`], for whoever follows the command.
pub(crate) fn followed(follower: &Follower) -> Arc<batch::Watch> {
    let follower = follower.clone();
    let bars: Mutex<BTreeMap<&'static str, (Progress, u64)>> = Mutex::default();
    Arc::new(move |at: batch::Progress| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let (bar, done) = bars
            .entry(at.step)
            .or_insert_with(|| (Progress::followed(&follower, at.step, at.total.unwrap_or(0)), 0));
        match at.total {
            Some(total) => *done = (*done).max(at.done.min(total)),
            None => *done += at.done,
        }
        bar.set(*done, at.total.unwrap_or(*done));
    })
}

/// Shows how far the slowest lane is until everything that was there at the start is covered.
pub(crate) async fn updater(handle: Handle) {
    let mut progress: Option<Progress> = None;
    while !handle.is_caught_up() {
        let (mut done, mut of) = (0, 0);
        for (_, _, slot) in handle.progress() {
            of += slot.end.0.saturating_sub(slot.start.0);
            done += slot.next().0.min(slot.end.0).saturating_sub(slot.start.0);
        }
        progress.get_or_insert_with(|| Progress::new("updating", of)).set(done, of);
        tokio::time::sleep(LOOK).await;
    }
}
