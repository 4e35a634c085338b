//! How fast an updater is, and how soon an event is visible: the core of `twofold bench update`.

use std::time::Duration;

use event_log::NewRecord;
use record::{LaneId, Offset, Partition};
use runtime::clock::Clock;
use runtime::shutdown;
use serde::Serialize;

use super::{Counters, Error, Parts, Settings, Updater};

/// How long a probe may take to become visible.
const VISIBLE_MAX: Duration = Duration::from_secs(30);

/// Records appended in one call.
const APPEND_RECORDS: usize = 5000;

/// What is appended to `topic`, which must exist.
#[derive(Debug, Clone)]
pub struct Load {
    /// Topic of a source that the lanes fold.
    pub topic: String,
    /// Appended at once, then drained: throughput.
    pub records: Vec<NewRecord>,
    /// Appended one by one, each waited for in every lane: latency.
    pub probes: Vec<NewRecord>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Records drained.
    pub records: u64,
    /// Records through every lane, a second of wall time.
    pub events_per_s: f64,
    /// Records appended (durably), a second of wall time.
    pub appended_per_s: f64,
    /// From before the append until every lane had committed it, in milliseconds: half of the probes
    /// were at least as fast.
    pub visible_ms_p50: f64,
    /// The same for 99 of 100.
    pub visible_ms_p99: f64,
    /// Probes that stayed invisible for 30 s; not in the percentiles.
    pub invisible: u64,
    /// What the draining updater did.
    pub counters: Counters,
}

/// Appends, drains and probes.
///
/// # Errors
/// Whatever log, store or updater say.
pub async fn bench(
    settings: Settings,
    parts: Parts,
    clock: &Clock,
    load: Load,
) -> Result<Report, Error> {
    let records = load.records.len();
    let start = clock.monotonic();
    for chunk in load.records.chunks(APPEND_RECORDS) {
        append(&parts, &load.topic, chunk.to_vec()).await?;
    }
    let appended = clock.monotonic() - start;
    let (updater, handle) = Updater::open(settings.clone(), parts.clone()).await?;
    let start = clock.monotonic();
    updater.drain(shutdown::Shutdown::never()).await?;
    let drained = clock.monotonic() - start;
    let counters = handle.counters();

    let (updater, handle) = Updater::open(settings, parts.clone()).await?;
    let lanes = parts.lanes.iter().filter(|lane| lane.source.topic == load.topic);
    let lanes: Vec<LaneId> = lanes.map(|lane| lane.id).collect();
    let (stop, stopped) = shutdown::channel();
    let updating = tokio::spawn(updater.run(stopped));
    handle.caught_up().await;
    let (mut visible, mut invisible) = (Vec::with_capacity(load.probes.len()), 0);
    for probe in load.probes {
        let start = clock.monotonic();
        let mut positions = Vec::new();
        for (partition, next) in append(&parts, &load.topic, vec![probe]).await? {
            positions.extend(lanes.iter().map(|lane| (*lane, partition, next)));
        }
        match handle.wait_for(&positions, VISIBLE_MAX).await {
            true => visible.push(clock.monotonic() - start),
            false => invisible += 1,
        }
    }
    stop.shut_down();
    updating.await.unwrap_or_else(|error| Err(Error::Panicked(error.to_string())))?;
    visible.sort_unstable();
    Ok(Report {
        records: counters.records,
        events_per_s: per_second(records, drained),
        appended_per_s: per_second(records, appended),
        visible_ms_p50: percentile_ms(&visible, 50),
        visible_ms_p99: percentile_ms(&visible, 99),
        invisible,
        counters,
    })
}

/// Appends; where each record went, as the position that covers it.
async fn append(
    parts: &Parts,
    topic: &str,
    records: Vec<NewRecord>,
) -> Result<Vec<(Partition, Offset)>, Error> {
    let mut positions = Vec::with_capacity(records.len());
    for outcome in parts.log.append(topic, records).await? {
        let appended = outcome?;
        positions.push((appended.partition, appended.offset.next()));
    }
    Ok(positions)
}

fn per_second(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64().max(1e-9)
}

/// The nearest rank: the smallest value that `percent` of the values do not exceed; 0 of none.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&hundred, 50), 50.0);
        assert_eq!(percentile_ms(&hundred, 99), 99.0);
        assert_eq!(percentile_ms(&hundred[..1], 99), 1.0);
        assert_eq!(percentile_ms(&[], 99), 0.0);
    }
}
