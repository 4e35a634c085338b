//! Bars for batch jobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::output::Progress;

/// A listener that shows one bar a step. A step that knows no total counts up.
pub(crate) fn bars() -> Arc<batch::Watch> {
    let bars: Mutex<BTreeMap<&'static str, (Progress, u64)>> = Mutex::default();
    Arc::new(move |at: batch::Progress| {
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let (bar, done) = bars
            .entry(at.step)
            .or_insert_with(|| (Progress::new(at.step, at.total.unwrap_or(0)), 0));
        match at.total {
            Some(total) => *done = (*done).max(at.done.min(total)),
            None => *done += at.done,
        }
        bar.set(*done, at.total.unwrap_or(*done));
    })
}
