//! librdkafka's errors in the port's words, with the topic they are about.

use std::fmt::Display;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::Error;

/// What a broker's or librdkafka's code means for a topic whose identity was asked for. Only that
/// question tells whether there is such a topic.
pub(super) fn identity_of(topic: &str, what: &str, code: RDKafkaErrorCode) -> Error {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::UnknownTopicId => Error::NoTopic { topic: topic.to_owned() },
        other => unavailable(topic, what, other),
    }
}

/// What librdkafka returned on any other question. A broker that has just started refuses partitions that it
/// does not lead yet as if they were unknown, so that says nothing about the topic.
pub(super) fn of(topic: &str, what: &str, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => unavailable(topic, what, code),
        None => unavailable(topic, what, error),
    }
}

pub(super) fn unavailable(topic: &str, what: &str, why: impl Display) -> Error {
    Error::Unavailable { reason: format!("kafka topic {topic}: {what}: {why}") }
}

/// Runs what waits for the brokers on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    topic: &str,
    what: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(unavailable(topic, what, error)),
    }
}
