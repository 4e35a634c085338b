//! How far behind the log every (lane, partition) is, looked at again and again: whoever works on it, and
//! also where nobody does.
//!
//! What a process works on itself it knows from its own commits; of the rest the store's heads tell. A log or
//! a store that does not answer leaves the last [`Sample`] as it was, which then grows old, and is counted:
//! whoever asks for samples never waits for either.
//!
//! The lag in **seconds** is the age of the oldest record that is not covered. It is read off the ends that
//! were sampled before (to within one interval); what was there before the first sample has its append time
//! from the updater, or from the record itself.

mod ends;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use definitions::{Lane, Source};
use event_log::Bounds;
use fold::Head;
use futures::future::join_all;
use record::{AppendTime, LaneId, Offset, Partition};
use runtime::clock::Clock;
use runtime::shutdown::Shutdown;

use self::ends::Ends;
use super::{Error, Handle, lane_task, measures};

/// Records that are read for their age in one sample; the others have it in the next ones.
const READS_MAX: usize = 4;
/// How long such a record is waited for.
const READ_WAIT: Duration = Duration::from_millis(500);

/// How far one (lane, partition) was when it was looked at last.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Lane.
    pub lane: Arc<Lane>,
    /// Partition.
    pub partition: Partition,
    /// The head; `None`: nothing is committed yet.
    pub head: Option<Head>,
    /// Offsets between the head and the log's end.
    pub lag: u64,
    /// How long ago the oldest record was appended that is not covered; 0 where all are. `None`: it cannot
    /// be said.
    pub lag_time: Option<Duration>,
    /// How old this is.
    pub age: Duration,
}

/// What was seen last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lags(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    clock: Clock,
    samples: Mutex<BTreeMap<(LaneId, Partition), (Duration, Sample)>>,
    log_failures: AtomicU64,
    store_failures: AtomicU64,
}

/// Looks.
pub struct Sampler {
    parts: super::Parts,
    updater: Option<Handle>,
    every: Duration,
    lags: Lags,
}

impl Lags {
    /// The last sample of each (lane, partition) that there is one of.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let now = self.0.clock.monotonic();
        let samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = samples.values();
        let aged = |(at, sample): &(Duration, Sample)| Sample {
            age: now.saturating_sub(*at),
            ..sample.clone()
        };
        samples.map(aged).collect()
    }

    /// Times that log and store did not answer.
    #[must_use]
    pub fn failures(&self) -> (u64, u64) {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        (count(&self.0.log_failures), count(&self.0.store_failures))
    }

    fn put(&self, sample: Sample) {
        let key = (sample.lane.id, sample.partition);
        let now = self.0.clock.monotonic();
        let mut samples = self.0.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.insert(key, (now, sample));
    }
}

impl Sampler {
    /// Looks at the lanes of `parts`, with what `updater` knows where it works in this process.
    #[must_use]
    pub fn new(parts: super::Parts, updater: Option<Handle>, every: Duration) -> (Self, Lags) {
        let lags = Lags(Arc::new(Seen {
            clock: parts.clock.clone(),
            samples: Mutex::default(),
            log_failures: AtomicU64::new(0),
            store_failures: AtomicU64::new(0),
        }));
        (Self { parts, updater, every, lags: lags.clone() }, lags)
    }

    /// Looks until `shutdown`: at each source by itself, so that none waits for another's topic.
    pub async fn run(self, shutdown: Shutdown) {
        let mut sources: BTreeMap<String, (Arc<Source>, Vec<Arc<Lane>>)> = BTreeMap::new();
        for lane in &self.parts.lanes {
            let source = (Arc::clone(&lane.source), Vec::new());
            let of_source = sources.entry(lane.source.name.clone()).or_insert(source);
            of_source.1.push(Arc::clone(lane));
        }
        let follow = sources.into_values().map(async |(source, lanes)| {
            let mut look = Look::new(&self, source, lanes);
            loop {
                look.once().await;
                tokio::time::sleep(self.every).await;
            }
        });
        shutdown.unless(join_all(follow)).await;
    }
}

/// Looks at one source.
struct Look<'a> {
    sampler: &'a Sampler,
    source: Arc<Source>,
    lanes: Vec<Arc<Lane>>,
    ends: BTreeMap<Partition, Ends>,
    /// Append times that were read, of the record at a position: lanes stand at different ones.
    read: BTreeMap<(LaneId, Partition), (Offset, AppendTime)>,
}

/// How far a (lane, partition) is.
struct Found {
    head: Option<Head>,
    /// When the last record was appended that was covered here.
    reached: Option<AppendTime>,
    /// No record before it is uncovered.
    read_to: Offset,
}

impl<'a> Look<'a> {
    fn new(sampler: &'a Sampler, source: Arc<Source>, lanes: Vec<Arc<Lane>>) -> Self {
        Self { sampler, source, lanes, ends: BTreeMap::new(), read: BTreeMap::new() }
    }

    async fn once(&mut self) {
        let seen = &self.sampler.lags.0;
        let bounds = match self.sampler.parts.log.bounds(&self.source.topic).await {
            Ok(bounds) => bounds,
            Err(error) => {
                seen.log_failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, topic = self.source.topic, "no sample of the lag");
                return;
            }
        };
        let now = seen.clock.monotonic();
        let partitions: Vec<(Partition, Bounds)> = (0..).map(Partition).zip(bounds).collect();
        for (partition, bounds) in &partitions {
            self.ends.entry(*partition).or_default().add(now, bounds.next);
        }
        let mut reads_left = READS_MAX;
        for lane in self.lanes.clone() {
            let heads = partitions.iter().map(|(partition, _)| self.head(&lane, *partition));
            let heads = join_all(heads).await;
            for ((partition, bounds), head) in partitions.iter().zip(heads) {
                let Found { head, reached, read_to } = match head {
                    Ok(found) => found,
                    Err(error) => {
                        seen.store_failures.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(%error, lane = %lane.id, "no sample of the lag");
                        continue;
                    }
                };
                let next = head.as_ref().map_or(Offset(0), |head| head.next);
                // A log may end in gaps, which no record covers, and so no head.
                let lag_time = match next.max(read_to) >= bounds.next {
                    true => Some(Duration::ZERO),
                    false => {
                        self.oldest((lane.id, *partition), next, reached, &mut reads_left).await
                    }
                };
                let lag = bounds.next.0.saturating_sub(next.0);
                let (lane, partition, age) = (Arc::clone(&lane), *partition, Duration::ZERO);
                self.sampler.lags.put(Sample { lane, partition, head, lag, lag_time, age });
            }
        }
    }

    /// How far it is: here, or as the store says.
    async fn head(&self, lane: &Lane, partition: Partition) -> Result<Found, Error> {
        let here = self.sampler.updater.as_ref();
        // A partition that was taken over just now has no head until it is claimed.
        if let Some(at) = here.and_then(|updater| updater.working_on(lane.id, partition))
            && at.head.is_some()
        {
            let read_to = here.map_or(Offset(0), |updater| updater.read_to(lane.id, partition));
            return Ok(Found { head: at.head, reached: at.reached, read_to });
        }
        let stored = self.sampler.parts.store.read(lane.id, partition, &[]).await?.head;
        let head = lane_task::decode(lane, partition, stored.as_ref())?;
        Ok(Found { head, reached: None, read_to: Offset(0) })
    }

    /// How long ago the first record from `next` on was appended, which is there.
    async fn oldest(
        &mut self,
        (lane, partition): (LaneId, Partition),
        next: Offset,
        reached: Option<AppendTime>,
        reads_left: &mut usize,
    ) -> Option<Duration> {
        let clock = &self.sampler.lags.0.clock;
        let came = self.ends.get(&partition).and_then(|ends| ends.came(next));
        if let Some(came) = came {
            return Some(clock.monotonic().saturating_sub(came));
        }
        let known = self.read.get(&(lane, partition)).filter(|(at, _)| *at == next);
        let appended = match (reached, known) {
            // The one after it is as old as that, or a little younger.
            (Some(reached), _) => reached,
            (None, Some((_, appended))) => *appended,
            (None, None) if *reads_left == 0 => return None,
            (None, None) => {
                *reads_left -= 1;
                let appended = self.append_time(partition, next).await?;
                self.read.insert((lane, partition), (next, appended));
                appended
            }
        };
        Some(measures::age(appended, clock.now()))
    }

    /// When the first record from `next` on was appended, if the log says so.
    async fn append_time(&self, partition: Partition, next: Offset) -> Option<AppendTime> {
        let log = &self.sampler.parts.log;
        let read = async {
            let mut reader = log.reader(&self.source.topic, partition, next).await?;
            reader.next(1, READ_WAIT).await
        };
        match read.await {
            Ok(records) => records.first().map(|record| record.append_time),
            Err(error) => {
                self.sampler.lags.0.log_failures.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, topic = self.source.topic, "no age of the oldest record");
                None
            }
        }
    }
}
