//! The service of this process: calls, answers and what they had to do without.

use std::collections::BTreeMap;
use std::fmt;

use online::service::{Handle, MetricsSnapshot};

use super::page::{Labels, Page, labels};

/// The whole answer among the stages, which calls tell better.
const TOTAL: &str = "total";

pub(super) fn write(page: &mut Page<'_>, service: &Handle) -> fmt::Result {
    let flag = |set: bool| [(Vec::new(), u64::from(set))];
    page.gauge("twofold_ready", "Whether Recommend answers", flag(service.is_ready()))?;
    let help = "Whether the bundle that was published last is refused";
    page.gauge("twofold_bundle_refused", help, flag(service.tables.refusal().is_some()))?;
    if let Some(bundle) = &service.tables.current().bundle {
        let help = "The bundle that answers are made with";
        page.info("twofold_bundle", help, &labels([("digest", &bundle.digest)]))?;
    }
    let (running, limit) = service.concurrency();
    let help = "Requests that are under way, and the most that are admitted now";
    let states = [("running", running), ("limit", limit)];
    let states = states.map(|(state, count)| (labels([("state", state)]), u64::from(count)));
    page.gauge("twofold_requests", help, states)?;

    let metrics = &service.metrics;
    let help = "How long calls took, by what became of them";
    let calls = metrics.calls().into_iter().map(|(method, outcome, took)| {
        let (method, tier) = (method.as_str(), outcome.tier());
        let mut of = labels([("method", method), ("outcome", outcome.as_str())]);
        if !tier.is_empty() {
            of.push(("tier", tier.to_owned()));
        }
        (of, took)
    });
    page.durations("twofold_request", help, calls)?;
    let help = "How long the stages of an answer took";
    let stages = metrics.stages().into_iter().filter(|(stage, _)| stage != TOTAL);
    page.durations("twofold_stage", help, stages.map(|(s, took)| (labels([("stage", &s)]), took)))?;
    let help = "Parts that answers had to do without";
    let degraded = metrics
        .degraded_stages()
        .into_iter()
        .map(|(stage, kind, count)| (labels([("stage", &stage), ("kind", kind)]), count));
    page.counter("twofold_degraded", help, degraded)?;
    counts(page, metrics.snapshot(), metrics.served_waiting())
}

fn counts(page: &mut Page<'_>, counts: MetricsSnapshot, waiting: u64) -> fmt::Result {
    // All of them: a new one has to be written, too.
    let MetricsSnapshot {
        stale,
        empty,
        served_written,
        served_overflow,
        served_failed,
        served_unwritten,
        track_ok,
        track_invalid,
        track_unavailable,
        expression_failures,
        candidates,
        candidates_cut,
        short,
        // Written as calls, degraded parts and stages.
        shed: _,
        invalid: _,
        unavailable: _,
        tiers: _,
        degradations: _,
        stages: _,
    } = counts;
    let served = [
        ("written", served_written),
        ("overflow", served_overflow),
        ("failed", served_failed),
        ("unwritten", served_unwritten),
    ];
    let help = "Answers for topic served: written, or why it does not hold them";
    page.counter("twofold_served_records", help, by_outcome(served))?;
    let help = "Answers that wait to be written to topic served";
    page.gauge("twofold_served_waiting", help, [(Vec::new(), waiting)])?;
    let tracked =
        [("ok", track_ok), ("invalid", track_invalid), ("unavailable", track_unavailable)];
    let help = "Events that clients sent, by what became of them";
    page.counter("twofold_tracked_events", help, by_outcome(tracked))?;
    let help = "Answers with fewer items than asked for, by the filter that left some out";
    page.counter("twofold_short_answers", help, by_filter(short))?;
    page.counters(&[
        ("twofold_stale_answers", "Answers that did not cover the positions asked for", stale),
        ("twofold_empty_answers", "Answers without an item", empty),
        (
            "twofold_expression_failures",
            "Inputs of the model whose expression failed, which counted as 0",
            expression_failures,
        ),
        ("twofold_candidates", "Candidates left after the filters", candidates),
        ("twofold_candidates_cut", "Candidates beyond the pool, not scored", candidates_cut),
    ])
}

fn by_outcome<const N: usize>(counts: [(&str, u64); N]) -> [(Labels, u64); N] {
    counts.map(|(outcome, count)| (labels([("outcome", outcome)]), count))
}

fn by_filter(short: BTreeMap<String, u64>) -> impl Iterator<Item = (Labels, u64)> {
    short.into_iter().map(|(filter, count)| (labels([("filter", &filter)]), count))
}
