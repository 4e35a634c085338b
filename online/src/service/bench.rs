//! Load on a running service over gRPC, for `twofold bench serve`: one client, then as many as
//! saturate it, then half of that rate. [`Apart`] keeps what was served of it out of the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_log::{
    Appended, Bounds, Error, EventLog, JournalId, Membership, NewRecord, Reader, Topic,
};
use record::{Offset, Partition};
use runtime::clock::Clock;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;

use super::Handle;
use super::metrics::Latency;

/// Clients at once that are tried to find saturation.
const CLIENTS: [usize; 4] = [2, 4, 8, 16];
/// Clients that share the paced load.
const PACED_CLIENTS: usize = 32;

/// A log but for one topic, which is appended to another log: the same work, and no record of answers that
/// nobody asked for among those that are learned from and compared.
pub struct Apart {
    /// Of everything else.
    pub log: Arc<dyn EventLog>,
    /// The topic.
    pub topic: String,
    /// Where its records go; it must have the topic.
    pub aside: Arc<dyn EventLog>,
}

#[async_trait]
impl EventLog for Apart {
    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        self.log.topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        self.log.create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        match topic == self.topic {
            true => self.aside.append_before(topic, records, journal).await,
            false => self.log.append_before(topic, records, journal).await,
        }
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        self.log.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        self.log.reader(topic, partition, from).await
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        self.log.join(topics).await
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Load {
    /// Visitors to ask for, one after the other; at least one.
    pub visitors: Vec<String>,
    /// Items of an answer.
    pub k: u32,
    /// Requests of each phase.
    pub requests: usize,
}

/// One phase of the load.
#[derive(Debug, Clone)]
pub struct Phase {
    /// `one-client`, `saturated` or `half`.
    pub name: &'static str,
    /// Clients at once.
    pub clients: usize,
    /// Answers per second.
    pub answers_per_s: f64,
    /// Candidates of an answer that were left after the filters, on average.
    pub candidates: f64,
    /// Requests that were refused or failed.
    pub refused: usize,
    /// Median of what the client sees, in microseconds; in the paced phase from the moment that the
    /// request was due.
    pub p50_us: f64,
    /// 99th percentile of the same.
    pub p99_us: f64,
    /// Answers by tier.
    pub tiers: BTreeMap<String, usize>,
    /// What the service says of its stages.
    pub stages: BTreeMap<String, Latency>,
}

/// What one client measured.
#[derive(Default)]
struct Measured {
    latencies: Vec<Duration>,
    tiers: BTreeMap<String, usize>,
    refused: usize,
}

/// Runs the three phases.
pub async fn run(channel: &Channel, handle: &Handle, clock: &Clock, load: &Load) -> Vec<Phase> {
    let load = Arc::new(load.clone());
    // Not measured: connections, caches, the first request of every visitor.
    let _ = phase("warm-up", channel, handle, clock, &load, 2, None).await;
    let one = phase("one-client", channel, handle, clock, &load, 1, None).await;
    let mut best: Option<Phase> = None;
    for clients in CLIENTS {
        let tried = phase("saturated", channel, handle, clock, &load, clients, None).await;
        if best.as_ref().is_none_or(|best| best.answers_per_s < tried.answers_per_s) {
            best = Some(tried);
        }
    }
    let best = best.expect("some number of clients was tried");
    let pace = Some(best.answers_per_s / 2.0);
    let half = phase("half", channel, handle, clock, &load, PACED_CLIENTS, pace).await;
    vec![one, best, half]
}

async fn phase(
    name: &'static str,
    channel: &Channel,
    handle: &Handle,
    clock: &Clock,
    load: &Arc<Load>,
    clients: usize,
    per_s: Option<f64>,
) -> Phase {
    handle.metrics.reset_latencies();
    let before = handle.metrics.snapshot().candidates;
    let next = Arc::new(AtomicUsize::new(0));
    let start = clock.monotonic();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (channel, clock) = (channel.clone(), clock.clone());
        let (load, next) = (Arc::clone(load), Arc::clone(&next));
        tasks.spawn(async move { client(channel, &clock, &load, &next, start, per_s).await });
    }
    let mut all = Measured::default();
    while let Some(ended) = tasks.join_next().await {
        let Ok(measured) = ended else {
            all.refused += 1;
            continue;
        };
        all.latencies.extend(measured.latencies);
        all.refused += measured.refused;
        for (tier, count) in measured.tiers {
            *all.tiers.entry(tier).or_insert(0) += count;
        }
    }
    let took_s = (clock.monotonic() - start).as_secs_f64();
    all.latencies.sort_unstable();
    let quantile = |share: f64| {
        let last = all.latencies.len().saturating_sub(1) as f64;
        let at = (last * share).round() as usize;
        all.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    let metrics = handle.metrics.snapshot();
    let answers = all.latencies.len() as f64;
    Phase {
        name,
        clients,
        answers_per_s: answers / took_s.max(1e-9),
        candidates: (metrics.candidates - before) as f64 / answers.max(1.0),
        refused: all.refused,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
        tiers: all.tiers,
        stages: metrics.stages,
    }
}

/// Sends requests until all are sent; paced ones when they are due, whether or not earlier ones
/// were answered by this client.
async fn client(
    channel: Channel,
    clock: &Clock,
    load: &Load,
    next: &AtomicUsize,
    start: Duration,
    per_s: Option<f64>,
) -> Measured {
    let mut client = RecommenderClient::new(channel);
    let mut measured = Measured::default();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= load.requests {
            return measured;
        }
        let mut from = clock.monotonic();
        if let Some(per_s) = per_s {
            let due = start + Duration::from_secs_f64(n as f64 / per_s);
            tokio::time::sleep(due.saturating_sub(from)).await;
            from = due;
        }
        let request = v1::RecommendRequest {
            surface: "home".to_owned(),
            visitor_id: load.visitors[n % load.visitors.len()].clone(),
            k: load.k,
            ..Default::default()
        };
        match client.recommend(request).await {
            Ok(response) => {
                measured.latencies.push(clock.monotonic().saturating_sub(from));
                let tier = response.into_inner().tier().as_str_name().to_owned();
                *measured.tiers.entry(tier).or_insert(0) += 1;
            }
            Err(_) => measured.refused += 1,
        }
    }
}
