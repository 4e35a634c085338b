//! How fast an updater is, and how soon an event is visible under load: the core of `twofold bench update`.

mod live;
mod paced;

use std::time::Duration;

use event_log::NewRecord;
use record::{Offset, Partition};
use runtime::clock::Clock;
use runtime::shutdown;

use super::{Counters, Error, Parts, Settings, Updater};

pub use self::live::Live;
pub use self::paced::{Paced, Times, Visible};

/// Records appended in one call.
const APPEND_RECORDS: usize = 5000;

/// What an updater drained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drained {
    /// Records appended (durably), a second of wall time.
    pub appended_per_s: f64,
    /// Records through every lane, a second of wall time.
    pub events_per_s: f64,
    /// What the updater did.
    pub counters: Counters,
}

/// Appends `records` to `topic`, which must exist and be that of a source of the lanes, and drains them.
/// Nobody else may work on these lanes.
///
/// # Errors
/// Whatever log, store or updater say.
pub async fn drain(
    settings: Settings,
    parts: Parts,
    clock: &Clock,
    topic: &str,
    records: Vec<NewRecord>,
) -> Result<Drained, Error> {
    let count = records.len();
    let start = clock.monotonic();
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        append(&parts, topic, records.by_ref().take(APPEND_RECORDS).collect()).await?;
    }
    let appended = clock.monotonic() - start;
    let (updater, handle) = Updater::open(settings, parts).await?;
    let start = clock.monotonic();
    updater.alone().drain(shutdown::Shutdown::never()).await?;
    let drained = clock.monotonic() - start;
    Ok(Drained {
        appended_per_s: per_second(count, appended),
        events_per_s: per_second(count, drained),
        counters: handle.counters(),
    })
}

/// Appends; where each record went.
async fn append(
    parts: &Parts,
    topic: &str,
    records: Vec<NewRecord>,
) -> Result<Vec<(Partition, Offset)>, Error> {
    let outcomes = parts.log.append(topic, records).await?;
    let place = |outcome: Result<event_log::Appended, event_log::Error>| {
        let appended = outcome?;
        Ok((appended.partition, appended.offset))
    };
    outcomes.into_iter().map(place).collect()
}

fn per_second(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64().max(1e-9)
}
