//! Topic `served`: what a response was made of, through a bounded queue.

mod record;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use candidate_pipeline::SideEffect;
use event_log::{EventLog, NewRecord};
use prost::Message;
use tokio::sync::mpsc;
use wire::v1;

use crate::service::metrics::Metrics;
use crate::service::query::{Candidate, Query};
use crate::service::settings::Settings;

pub(in crate::service) use record::source_hits;

/// Records that are appended at once.
const BATCH_MAX: usize = 64;
/// Tries before a batch is given up and counted.
const TRIES: u32 = 4;
/// Wait after the first failure; it doubles with every other.
const BACK_OFF: Duration = Duration::from_millis(20);

/// An answer that went out.
pub(in crate::service) struct Done {
    pub(in crate::service) query: Query,
    pub(in crate::service) selected: Vec<Candidate>,
    pub(in crate::service) rest: Vec<Candidate>,
    pub(in crate::service) response: v1::RecommendResponse,
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
    (recorder, Writer { queue: receiver, log, metrics, topic, constants })
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
            });
            let records: Vec<NewRecord> = records.collect();
            self.append(records).await;
        }
    }

    /// Appends what the log takes; what it did not take is tried again, then given up.
    async fn append(&self, mut records: Vec<NewRecord>) {
        let mut wait = BACK_OFF;
        for attempt in 1..=TRIES {
            let cause = match self.log.append(&self.topic, records.clone()).await {
                Ok(outcomes) => {
                    let mut outcomes = outcomes.into_iter();
                    let before = records.len();
                    let mut cause = None;
                    records.retain(|_| match outcomes.next() {
                        Some(Ok(_)) => false,
                        Some(Err(error)) => {
                            cause = Some(error.to_string());
                            true
                        }
                        None => true,
                    });
                    let written = (before - records.len()) as u64;
                    Metrics::add(&self.metrics.served_written, written);
                    cause
                }
                Err(error) => Some(error.to_string()),
            };
            if records.is_empty() {
                return;
            }
            tracing::warn!(attempt, cause, left = records.len(), "topic served was not written");
            if attempt < TRIES {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        Metrics::add(&self.metrics.served_failed, records.len() as u64);
    }
}
