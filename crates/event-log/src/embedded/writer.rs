//! The one thread that writes, and the bounded queue before it.

mod thread;

use std::sync::Arc;

use record::Partition;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Settings;
use super::ends::LastEnds;
use super::topics::{TopicState, Topics};
use crate::{Appended, Error, NewRecord, Topic};

/// Bytes that may wait to be written; appenders wait for room. Counted in [`PERMIT_BYTES`].
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// The least that a job takes of the queue, which bounds the number of jobs too.
const PERMIT_BYTES: usize = 1 << 10;
/// About the most bytes of one job: a large append is queued in parts.
const JOB_BYTES_MAX: usize = 1 << 20;
/// The most records of one job.
const JOB_RECORDS_MAX: usize = 4096;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

enum Job {
    Append(Append),
    Create { topic: String, partitions: u32, answer: Answer<Topic> },
    Delete { topic: String, answer: Answer<()> },
}

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// When it stands in the journal: what is written there later cannot outlive it.
    Written,
    /// When nothing can take it back.
    Durable,
}

struct Append {
    topic: Arc<TopicState>,
    records: Vec<(Partition, NewRecord)>,
    bytes: usize,
    answered: Answered,
    answer: Answer<Vec<Appended>>,
    _room: OwnedSemaphorePermit,
}

/// Hands work to the thread and waits for it.
pub(super) struct Writer {
    // `Some` until it is dropped. Unbounded as a channel; `room` is the bound.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    room: Arc<Semaphore>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        topics: Arc<Topics>,
        ends: LastEnds,
        settings: Settings,
    ) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || thread::run(&topics, &ends, &settings, queue))
            .map_err(|error| Error::Unavailable { reason: format!("no writer thread: {error}") })?;
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX / PERMIT_BYTES));
        Ok(Self { jobs: Some(jobs), room, thread: Some(thread) })
    }

    pub(super) async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        let _room = self.room(0).await?;
        let (answer, answered) = oneshot::channel();
        self.send(Job::Create { topic: topic.to_owned(), partitions, answer })?;
        answered.await.map_err(|_| stopped())?
    }

    pub(super) async fn delete(&self, topic: &str) -> Result<(), Error> {
        let _room = self.room(0).await?;
        let (answer, answered) = oneshot::channel();
        self.send(Job::Delete { topic: topic.to_owned(), answer })?;
        answered.await.map_err(|_| stopped())?
    }

    /// One outcome per record, in order.
    pub(super) async fn append(
        &self,
        topic: &Arc<TopicState>,
        records: Vec<(Partition, NewRecord)>,
        answered: Answered,
    ) -> Vec<Result<Appended, Error>> {
        let mut queued = Vec::new();
        for records in into_jobs(records) {
            let count = records.len();
            queued.push((count, self.queue(topic, records, answered).await));
        }
        let mut outcomes = Vec::new();
        for (count, answer) in queued {
            let appended = match answer {
                Ok(answer) => answer.await.unwrap_or_else(|_| Err(stopped())),
                Err(error) => Err(error),
            };
            match appended {
                Ok(appended) => outcomes.extend(appended.into_iter().map(Ok)),
                Err(error) => outcomes.extend((0..count).map(|_| Err(again(&error)))),
            }
        }
        outcomes
    }

    async fn queue(
        &self,
        topic: &Arc<TopicState>,
        records: Vec<(Partition, NewRecord)>,
        answered: Answered,
    ) -> Result<oneshot::Receiver<Result<Vec<Appended>, Error>>, Error> {
        let bytes = records.iter().map(|(_, record)| bytes(record)).sum();
        let room = self.room(bytes).await?;
        let (answer, answers) = oneshot::channel();
        let topic = Arc::clone(topic);
        self.send(Job::Append(Append { topic, records, bytes, answered, answer, _room: room }))?;
        Ok(answers)
    }

    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let permits = (bytes / PERMIT_BYTES + 1).min(QUEUE_BYTES_MAX / PERMIT_BYTES);
        let permits = u32::try_from(permits).expect("the queue has fewer permits than that");
        Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| stopped())
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let jobs = self.jobs.as_ref().expect("taken only when the writer is dropped");
        jobs.send(job).map_err(|_| stopped())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the event log's writer thread panicked");
        }
    }
}

fn into_jobs(records: Vec<(Partition, NewRecord)>) -> Vec<Vec<(Partition, NewRecord)>> {
    let mut jobs: Vec<Vec<_>> = Vec::new();
    let mut job_bytes = 0;
    for record in records {
        let bytes = bytes(&record.1);
        match jobs.last_mut() {
            Some(job) if job.len() < JOB_RECORDS_MAX && job_bytes + bytes <= JOB_BYTES_MAX => {
                job_bytes += bytes;
                job.push(record);
            }
            _ => {
                job_bytes = bytes;
                jobs.push(vec![record]);
            }
        }
    }
    jobs
}

fn bytes(record: &NewRecord) -> usize {
    record.key.len() + record.value.len()
}

/// The same error for another record of the same job.
fn again(error: &Error) -> Error {
    match error {
        Error::Embedded(error) => Error::Embedded(error.clone()),
        Error::NoTopic { topic } => Error::NoTopic { topic: topic.clone() },
        other => Error::Unavailable { reason: other.to_string() },
    }
}

fn stopped() -> Error {
    Error::Unavailable { reason: "the event log's writer has stopped".to_owned() }
}
