//! The brokers' answers, record by record, gathered for the append that waits for them.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use record::{AppendTime, Offset, Partition};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Outcome;
use crate::Appended;
use crate::kafka::client::{self, Teller};
use crate::kafka::error::of;
use crate::kafka::lifeline::Lifeline;
use crate::kafka::reader::append_time_missing;
use crate::kafka::settings::Settings;

/// Records that are answered together.
pub(super) struct Group {
    topic: String,
    answers: Mutex<Answers>,
}

struct Answers {
    outcomes: Vec<Option<Outcome>>,
    left: usize,
    /// What to do when none is left: answer, and give the room back.
    done: Option<(oneshot::Sender<Vec<Outcome>>, OwnedSemaphorePermit)>,
}

/// One record's place among them.
pub(super) struct Delivery {
    pub(super) group: Arc<Group>,
    pub(super) index: usize,
}

impl Group {
    pub(super) fn new(
        topic: &str,
        count: usize,
        room: OwnedSemaphorePermit,
    ) -> (Arc<Self>, oneshot::Receiver<Vec<Outcome>>) {
        let (sender, answer) = oneshot::channel();
        let outcomes = std::iter::repeat_with(|| None).take(count).collect();
        let answers = Answers { outcomes, left: count, done: Some((sender, room)) };
        (Arc::new(Self { topic: topic.to_owned(), answers: Mutex::new(answers) }), answer)
    }

    /// Notes the outcome of a record; the last one answers for all.
    pub(super) fn settle(&self, index: usize, outcome: Outcome) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.outcomes[index].replace(outcome).is_some() {
            return;
        }
        answers.left -= 1;
        if answers.left > 0 {
            return;
        }
        let outcomes = answers.outcomes.drain(..).flatten().collect();
        if let Some((sender, _room)) = answers.done.take() {
            // Nobody waits any more: the append was dropped.
            let _ = sender.send(outcomes);
        }
    }
}

/// Takes delivery reports, on the producer's thread.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    teller: Arc<Teller>,
    pub(super) lifeline: Arc<Lifeline>,
}

impl Reports {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { teller: Arc::default(), lifeline: Arc::new(Lifeline::new(settings)) }
    }

    /// A record was not delivered; perhaps because there was no broker to send it to.
    pub(super) fn undelivered(&self, error: &KafkaError) {
        use RDKafkaErrorCode as Code;
        if let Some(
            Code::MessageTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::LeaderNotAvailable,
        ) = error.rdkafka_error_code()
        {
            self.lifeline.lost();
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.teller.tell("producer", &error, reason);
        self.lifeline.complained(&error);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let group = &delivery.group;
        let outcome = match result {
            Err((error, _)) => {
                self.undelivered(error);
                Err(of(&group.topic, "appending", error))
            }
            Ok(message) => {
                self.lifeline.found();
                match message.timestamp() {
                    Timestamp::LogAppendTime(append_time) => Ok(Appended {
                        partition: Partition(message.partition().unsigned_abs()),
                        offset: Offset(message.offset().unsigned_abs()),
                        append_time: AppendTime(append_time),
                    }),
                    _ => Err(append_time_missing(&group.topic)),
                }
            }
        };
        group.settle(delivery.index, outcome);
    }
}
