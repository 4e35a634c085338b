//! Topic `served`: what a response was made of, through a bounded queue.

mod record;

use std::sync::Arc;
use std::time::Duration;

use ::record::Trace;
use async_trait::async_trait;
use candidate_pipeline::SideEffect;
use event_log::{EventLog, NewRecord};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::v1;

use crate::service::metrics::Metrics;
use crate::service::query::{Candidate, Query};
use crate::service::settings::Settings;

pub(in crate::service) use record::source_hits;

/// Records that are appended at once.
const BATCH_MAX: usize = 64;
/// Wait after the first failure; it doubles with every other …
const BACK_OFF_MIN: Duration = Duration::from_millis(20);
/// … up to this.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// An answer that went out.
pub(in crate::service) struct Done {
    pub(in crate::service) query: Query,
    pub(in crate::service) selected: Vec<Candidate>,
    pub(in crate::service) rest: Vec<Candidate>,
    pub(in crate::service) response: v1::RecommendResponse,
    pub(in crate::service) trace: Trace,
}

/// Puts answers into the queue; one that finds it full is dropped and counted.
pub(in crate::service) struct Recorder {
    queue: mpsc::Sender<Arc<Done>>,
    metrics: Arc<Metrics>,
}

/// Takes them out and appends them.
pub(in crate::service) struct Writer {
    queue: mpsc::Receiver<Arc<Done>>,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
    topic: String,
    retry_limit: Duration,
    constants: record::Constants,
}

/// Both ends of a queue of the settings' length.
pub(in crate::service) fn open(
    settings: &Settings,
    definitions: String,
    log: Arc<dyn EventLog>,
    metrics: Arc<Metrics>,
) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(settings.served_queue_max);
    let constants = record::Constants {
        configuration: settings.hash(),
        definitions,
        unserved_sample: settings.unserved_sample,
    };
    let recorder = Recorder { queue: sender, metrics: Arc::clone(&metrics) };
    let topic = settings.served_topic.clone();
    let retry_limit = Duration::from_millis(settings.served_retry_limit_ms);
    (recorder, Writer { queue: receiver, log, metrics, topic, retry_limit, constants })
}

#[async_trait]
impl SideEffect<Done> for Recorder {
    fn name(&self) -> &str {
        "served"
    }

    fn enable(&self, done: &Done) -> bool {
        !done.query.request.dry_run
    }

    async fn run(&self, done: Arc<Done>) {
        match self.queue.try_send(done) {
            Ok(()) => Metrics::add(&self.metrics.served_queued, 1),
            Err(_) => Metrics::add(&self.metrics.served_overflow, 1),
        }
    }
}

impl Writer {
    /// Writes until every [`Recorder`] is gone and the queue is empty.
    pub(in crate::service) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let records = batch.drain(..).map(|done| NewRecord {
                key: done.query.request.visitor_id.clone().into_bytes(),
                value: record::record(&done, &self.constants).encode_to_vec(),
                trace: Some(Box::new(done.trace.clone())),
            });
            let records: Vec<NewRecord> = records.collect();
            self.append(records).await;
        }
    }

    /// Appends what the log takes; what it did not take is tried again as long as the settings allow, if
    /// that may help, and counted if it is given up.
    async fn append(&self, mut records: Vec<NewRecord>) {
        let (start, mut wait) = (Instant::now(), BACK_OFF_MIN);
        loop {
            let Some(cause) = self.append_once(&mut records).await else { return };
            let left = records.len();
            if start.elapsed() >= self.retry_limit {
                tracing::warn!(cause, left, "topic served was not written, and is given up");
                Metrics::add(&self.metrics.served_failed, left as u64);
                return;
            }
            tracing::warn!(cause, left, "topic served was not written");
            tokio::time::sleep(wait).await;
            wait = BACK_OFF_MAX.min(wait * 2);
        }
    }

    /// Leaves what is to be tried again, and says why.
    async fn append_once(&self, records: &mut Vec<NewRecord>) -> Option<String> {
        let (mut written, mut refused, mut cause) = (0, 0, None);
        // Whether it is to be tried again.
        let mut fails = |error: &event_log::Error| match error {
            event_log::Error::Unavailable { reason } => {
                cause = Some(reason.clone());
                true
            }
            error => {
                tracing::error!(%error, "an answer cannot be written to topic served");
                refused += 1;
                false
            }
        };
        match self.log.append(&self.topic, records.clone()).await {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                records.retain(|_| match outcomes.next() {
                    Some(Ok(_)) => {
                        written += 1;
                        false
                    }
                    Some(Err(error)) => fails(&error),
                    None => fails(&missing()),
                });
            }
            Err(error) => records.retain(|_| fails(&error)),
        }
        Metrics::add(&self.metrics.served_written, written);
        Metrics::add(&self.metrics.served_failed, refused);
        cause
    }
}

fn missing() -> event_log::Error {
    event_log::Error::Unavailable { reason: "the log gave no outcome".to_owned() }
}
