use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::{EventBatch, Lane, Reason, Rejection, Source};

use super::identities::IDENTITIES_MAX;
use super::watermark::is_future;

/// What is wrong with a record whatever came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Every lane of its source makes a dead letter of it, so that it changes no state.
    Whole(Rejection),
    /// These lanes make a dead letter of it, each by its entity; the others take it.
    Partial(Vec<(String, Rejection)>),
}

/// What was wrong with a record of `source` that admission made a dead letter of, for a person; empty for
/// [`Reason`]s that are not admission's, whose rejections say more.
#[must_use]
pub fn why(reason: Reason, source: &Source) -> String {
    match reason {
        Reason::Future => {
            let ahead_s = source.max_future_us / 1_000_000;
            format!("the event time lies more than {ahead_s} s ahead: check the clock")
        }
        Reason::KeyFlood => format!(
            "its key has {IDENTITIES_MAX} events of the last {} s already: see whether one client sends for many",
            source.allowed_lateness_us / 1_000_000
        ),
        _ => String::new(),
    }
}

/// The rows of a batch of `source` that become dead letters whatever came before them: in every lane what
/// cannot be decoded or lies in the future of its append time, in a lane by itself what that lane cannot
/// evaluate or keep. By row, with the first fault. Whoever takes records in may turn a [`Refusal::Whole`]
/// away; anything else belongs into the log, or state would depend on who took it in. *Late*, *duplicate* and
/// *key flood* depend on the stream, so only the lanes can tell.
#[must_use]
pub fn refusals(
    source: &Source,
    lanes: &[Arc<Lane>],
    batch: &EventBatch,
) -> BTreeMap<usize, Refusal> {
    let mut whole: BTreeMap<usize, Rejection> = BTreeMap::new();
    for rejection in &batch.rejections {
        whole.entry(rejection.row).or_insert_with(|| rejection.clone());
    }
    let times = batch.event_times.iter().zip(&batch.append_times);
    for (row, (event, append)) in times.enumerate() {
        if is_future(*event, *append, source.max_future_us) {
            let detail = why(Reason::Future, source);
            whole.entry(row).or_insert(Rejection { row, reason: Reason::Future, detail });
        }
    }
    let lanes: Vec<&Arc<Lane>> =
        lanes.iter().filter(|lane| lane.source.name == source.name).collect();
    let mut by_lane: BTreeMap<usize, Vec<(String, Rejection)>> = BTreeMap::new();
    for lane in &lanes {
        for rejection in lane.evaluate(batch).rejections {
            let refusing = by_lane.entry(rejection.row).or_default();
            refusing.push((lane.entity.clone(), rejection));
        }
    }
    let mut refusals: BTreeMap<usize, Refusal> =
        whole.into_iter().map(|(row, rejection)| (row, Refusal::Whole(rejection))).collect();
    for (row, mut refusing) in by_lane {
        refusals.entry(row).or_insert_with(|| match refusing.len() == lanes.len() {
            true => Refusal::Whole(refusing.swap_remove(0).1),
            false => Refusal::Partial(refusing),
        });
    }
    refusals
}
