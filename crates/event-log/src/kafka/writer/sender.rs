//! A producer and the thread that polls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::delivery::Reports;
use crate::Error;
use crate::kafka::client;
use crate::kafka::settings::Settings;

/// How long the thread takes the brokers' answers before it looks at what else there is.
const POLL: Duration = Duration::from_millis(100);

/// Dropping it gives up what is not acknowledged yet, a moment later and on its thread.
pub(super) struct Sender {
    pub(super) producer: Arc<BaseProducer<Reports>>,
    stop: Arc<AtomicBool>,
}

impl Sender {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let producer = client::create(&client::producer(settings), Reports::new(settings))?;
        let producer = Arc::<BaseProducer<Reports>>::new(producer);
        let stop = Arc::<AtomicBool>::default();
        let (polled, ended) = (Arc::clone(&producer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("kafka-producer".to_owned())
            .spawn(move || poll(&polled, &ended))
            .map_err(|error| Error::Unavailable { reason: format!("no kafka thread: {error}") })?;
        Ok(Self { producer, stop })
    }

    /// Why librdkafka has given the producer up, if it has.
    pub(super) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.client().fatal_error()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // The thread has the last reference, and answers for what it gives up.
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn poll(producer: &BaseProducer<Reports>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        producer.context().lifeline.throw(producer.client());
        producer.poll(POLL);
    }
}
