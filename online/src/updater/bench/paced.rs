//! How soon events are visible that come at a steady rate.
//!
//! The rate does not wait for anybody: each event has the moment that it is due at, and its time counts from
//! there until every lane has committed it, whether or not its append had to wait for earlier ones. Events
//! that are due in the same tick are appended together when it ends, which their times include. What of that
//! the log took until it acknowledged the append, and what came after it, are told apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::runtime::clock::Clock;
use ::runtime::shutdown::{self, Shutdown};
use event_log::NewRecord;
use record::{LaneId, Offset, Partition};
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::append;
use super::live::{VISIBLE_MAX, goals};
use crate::updater::{Error, Handle, Parts, Progress};

/// Events that are due within it are appended together.
const TICK: Duration = Duration::from_millis(2);
/// Appends that may be under way; more of them wait, and their events' times go on.
const APPENDS_MAX: usize = 256;

/// Events at a steady rate.
#[derive(Debug, Clone)]
pub struct Paced {
    /// What is appended.
    pub records: Vec<NewRecord>,
    /// Events a second.
    pub per_second: f64,
}

/// How soon they were visible. Times are those of the events that became visible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Visible {
    /// From when an event was due until every lane had committed it.
    pub since_due: Times,
    /// From when an event was due until the log had acknowledged it.
    pub appended: Times,
    /// From when the log had acknowledged an event until every lane had committed it.
    pub since_appended: Times,
    /// Events that stayed invisible for 30 s.
    pub invisible: u64,
}

/// How the times of events are distributed, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// Half of the events were at least as fast.
    pub ms_p50: f64,
    /// 99 of 100 were.
    pub ms_p99: f64,
    /// The slowest.
    pub ms_max: f64,
}

/// An event that was appended.
struct Offered {
    due: Duration,
    appended: Duration,
    partition: Partition,
    offset: Offset,
}

/// What one (lane, partition) had covered when.
type Seen = Vec<(Duration, Offset)>;

pub(super) async fn measure(
    parts: &Parts,
    handle: &Handle,
    clock: &Clock,
    topic: &str,
    lanes: &[LaneId],
    load: Paced,
) -> Result<Visible, Error> {
    let partitions = parts.log.topic(topic).await?.partitions;
    let (done, over) = shutdown::channel();
    let mut following: BTreeMap<(LaneId, Partition), JoinHandle<Seen>> = BTreeMap::new();
    for lane in lanes {
        for partition in (0..partitions).map(Partition) {
            let Some(progress) = handle.watch(*lane, partition) else { continue };
            let follower = follow(progress, clock.clone(), over.clone());
            following.insert((*lane, partition), tokio::spawn(follower));
        }
    }
    let offered = offer(parts, clock, topic, load).await?;
    let goals = goals(lanes, offered.iter().map(|event| (event.partition, event.offset)));
    // Events that are not seen by then are counted below.
    let _ = handle.wait_for(&goals, VISIBLE_MAX).await;
    done.shut_down();
    let mut seen = BTreeMap::new();
    for (place, follower) in following {
        let followed = follower.await.map_err(|error| Error::Panicked(error.to_string()))?;
        seen.insert(place, followed);
    }
    Ok(summary(&offered, lanes, &seen))
}

/// Notes when a (lane, partition) had covered what, until it is over.
async fn follow(mut progress: watch::Receiver<Progress>, clock: Clock, over: Shutdown) -> Seen {
    let mut seen = Seen::new();
    loop {
        let changed = over.unless(progress.changed()).await;
        let next = progress.borrow_and_update().next();
        if seen.last().is_none_or(|(_, last)| *last < next) {
            seen.push((clock.monotonic(), next));
        }
        if !matches!(changed, Some(Ok(()))) {
            return seen;
        }
    }
}

/// Appends each tick's events when it ends, without waiting for those before. A thread of its own keeps the time:
/// the runtime's timers wait for its tasks, which are what is measured.
async fn offer(
    parts: &Parts,
    clock: &Clock,
    topic: &str,
    load: Paced,
) -> Result<Vec<Offered>, Error> {
    let (count, runtime) = (load.records.len(), runtime::Handle::current());
    let (parts, topic, clock) = (parts.clone(), topic.to_owned(), clock.clone());
    let room = Arc::new(Semaphore::new(APPENDS_MAX));
    // Whoever does not wait any more, or an append that failed, ends the offering.
    let ends = Closes(Arc::clone(&room));
    let offering = move || {
        let each = (load.per_second * TICK.as_secs_f64()).max(1.0);
        let mut appending = JoinSet::new();
        let mut records = load.records.into_iter();
        let (start, mut sent) = (clock.monotonic(), 0);
        let due =
            move |event: usize| start + Duration::from_secs_f64(event as f64 / load.per_second);
        for tick in 1u32.. {
            let until = count.min((each * f64::from(tick)).round() as usize);
            let share: Vec<NewRecord> = records.by_ref().take(until - sent).collect();
            std::thread::sleep(due(until).saturating_sub(clock.monotonic()));
            let (parts, topic, clock, first) = (parts.clone(), topic.clone(), clock.clone(), sent);
            let Ok(place) = runtime.block_on(Arc::clone(&room).acquire_owned()) else { break };
            let room = Arc::clone(&room);
            let append = async move {
                let _place = place;
                let places = append(&parts, &topic, share).await.inspect_err(|_| room.close())?;
                let places = places.into_iter().zip(first..);
                let appended = clock.monotonic();
                let offered = places.map(|((partition, offset), event)| Offered {
                    due: due(event),
                    appended,
                    partition,
                    offset,
                });
                Ok::<Vec<_>, Error>(offered.collect())
            };
            appending.spawn_on(append, &runtime);
            sent = until;
            if sent == count {
                break;
            }
        }
        appending
    };
    let panicked = |error: JoinError| Error::Panicked(error.to_string());
    let mut appending = tokio::task::spawn_blocking(offering).await.map_err(panicked)?;
    let mut offered = Vec::with_capacity(count);
    while let Some(appended) = appending.join_next().await {
        offered.extend(appended.map_err(panicked)??);
    }
    drop(ends);
    Ok(offered)
}

/// Closes a semaphore when it is dropped.
struct Closes(Arc<Semaphore>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn summary(
    offered: &[Offered],
    lanes: &[LaneId],
    seen: &BTreeMap<(LaneId, Partition), Seen>,
) -> Visible {
    let (mut since_due, mut appended, mut since_appended) = (Vec::new(), Vec::new(), Vec::new());
    let mut invisible = 0;
    for event in offered {
        let covered = |lane: &LaneId| {
            let seen = seen.get(&(*lane, event.partition))?;
            let at = seen.partition_point(|(_, next)| *next <= event.offset);
            seen.get(at).map(|(when, _)| *when)
        };
        let Some(all) = lanes.iter().map(covered).collect::<Option<Vec<_>>>() else {
            invisible += 1;
            continue;
        };
        let visible = all.into_iter().max().unwrap_or(event.due);
        since_due.push(visible.saturating_sub(event.due));
        appended.push(event.appended.saturating_sub(event.due));
        // A reader may be told of a record before whoever appended it.
        since_appended.push(visible.saturating_sub(event.appended));
    }
    Visible {
        since_due: Times::of(since_due),
        appended: Times::of(appended),
        since_appended: Times::of(since_appended),
        invisible,
    }
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            ms_p50: percentile_ms(&times, 50),
            ms_p99: percentile_ms(&times, 99),
            ms_max: percentile_ms(&times, 100),
        }
    }
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

    #[test]
    fn an_event_is_visible_when_the_last_lane_has_covered_it_and_late_since_it_was_due() {
        let ms = Duration::from_millis;
        let (lanes, at) = ([LaneId([1; 8]), LaneId([2; 8])], Partition(3));
        let event = |due, appended, offset| Offered {
            due: ms(due),
            appended: ms(appended),
            partition: at,
            offset: Offset(offset),
        };
        let offered = [event(10, 12, 0), event(20, 101, 1), event(30, 31, 2)];
        let seen = BTreeMap::from([
            ((lanes[0], at), vec![(ms(11), Offset(1)), (ms(100), Offset(3))]),
            ((lanes[1], at), vec![(ms(50), Offset(2))]),
        ]);
        let visible = summary(&offered, &lanes, &seen);
        let times = |ms_p50, ms_max| Times { ms_p50, ms_p99: ms_max, ms_max };
        let expected = Visible {
            // 50 − 10, 100 − 20, and one that the second lane never covered.
            since_due: times(40.0, 80.0),
            appended: times(2.0, 81.0),
            // 50 − 12, and one that was seen before its append was acknowledged.
            since_appended: times(0.0, 38.0),
            invisible: 1,
        };
        assert_eq!(visible, expected);
    }
}
