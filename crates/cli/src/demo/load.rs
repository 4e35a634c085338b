//! A burst of requests, measured by the client.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::clock::Clock;
use tokio::task::JoinSet;

use super::{Asked, Clients};

/// What a burst saw.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Burst {
    pub(crate) requests: u64,
    /// Refused or failed.
    pub(crate) failed: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) per_s: f64,
    /// Answers by tier.
    pub(crate) tiers: BTreeMap<String, u64>,
}

/// `requests` requests for `visitors`, `at_once` at a time.
pub(crate) async fn burst(
    clients: &Clients,
    clock: &Clock,
    visitors: &[String],
    requests: usize,
    at_once: usize,
) -> anyhow::Result<Burst> {
    let mut tasks = JoinSet::new();
    let start = clock.monotonic();
    for worker in 0..at_once {
        let (mut clients, clock) = (clients.clone(), clock.clone());
        let turns = (worker..requests).step_by(at_once);
        let mine: Vec<String> = turns.map(|n| visitors[n % visitors.len()].clone()).collect();
        tasks.spawn(async move {
            let mut answers = Vec::with_capacity(mine.len());
            for visitor in mine {
                answers.push(clients.recommend(&clock, &visitor, 20, Vec::new()).await);
            }
            answers
        });
    }
    let mut all = Vec::with_capacity(requests);
    while let Some(answers) = tasks.join_next().await {
        all.extend(answers?);
    }
    Ok(Burst::of(all, clock.monotonic() - start))
}

impl Burst {
    /// Counts answers that came within `span`.
    pub(crate) fn of(answers: Vec<anyhow::Result<Asked>>, span: Duration) -> Self {
        let (mut burst, mut took) = (Self::default(), Vec::with_capacity(answers.len()));
        for answer in answers {
            burst.requests += 1;
            match answer {
                Ok(asked) => {
                    took.push(asked.took);
                    let tier = asked.response.tier().as_str_name().to_owned();
                    *burst.tiers.entry(tier).or_default() += 1;
                }
                Err(error) => {
                    tracing::warn!(%error, "a request of the burst failed");
                    burst.failed += 1;
                }
            }
        }
        burst.per_s = burst.requests as f64 / span.as_secs_f64().max(1e-9);
        took.sort_unstable();
        burst.p50_ms = percentile_ms(&took, 50);
        burst.p99_ms = percentile_ms(&took, 99);
        burst.max_ms = percentile_ms(&took, 100);
        burst
    }
}

/// The nearest rank; 0 of none.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}
