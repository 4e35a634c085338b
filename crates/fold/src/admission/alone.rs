use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::{EventBatch, Lane, Reason, Rejection, Source};

use super::watermark::is_future;

/// What becomes a dead letter whatever came before it: rows of a batch of `source` that cannot be decoded,
/// lie in the future of their append time, or that one of its lanes cannot evaluate or keep. Ascending by
/// row, with each row's first fault. Whoever takes records in can so refuse what no lane would count;
/// *late*, *duplicate* and *key flood* depend on the stream, so only the lanes can tell.
#[must_use]
pub fn refusals(source: &Source, lanes: &[Arc<Lane>], batch: &EventBatch) -> Vec<Rejection> {
    let mut refused: BTreeMap<usize, Rejection> = BTreeMap::new();
    let mut refuse = |rejection: &Rejection| {
        refused.entry(rejection.row).or_insert_with(|| rejection.clone());
    };
    batch.rejections.iter().for_each(&mut refuse);
    let times = batch.event_times.iter().zip(&batch.append_times);
    for (row, (event, append)) in times.enumerate() {
        if is_future(*event, *append, source.max_future_us) {
            let ahead_s = source.max_future_us / 1_000_000;
            let detail =
                format!("the event time lies more than {ahead_s} s ahead: check the clock");
            refuse(&Rejection { row, reason: Reason::Future, detail });
        }
    }
    for lane in lanes.iter().filter(|lane| lane.source.name == source.name) {
        lane.evaluate(batch).rejections.iter().for_each(&mut refuse);
    }
    refused.into_values().collect()
}
