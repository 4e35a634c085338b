//! Where a source's lanes get a partition's records from: read and decoded, one micro-batch ahead of them while there
//! is a backlog.

use std::sync::Arc;
use std::time::Duration;

use definitions::decode::Decoder;
use definitions::{EventBatch, Source};
use event_log::{READ_BYTES_MAX, Reader, Topic};
use record::{Offset, Partition, Record};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Error;
use super::context::Context;
use super::retry::{Attempts, retry};
use crate::busy::busy;

/// A micro-batch: at least one record.
pub(super) struct MicroBatch {
    pub(super) records: Vec<Record>,
    pub(super) decoded: EventBatch,
}

/// What one read gives: where the reader stands after it, and what came, if anything did.
type Read = Result<(Offset, Option<MicroBatch>), Error>;

/// Reads and decodes a partition.
pub(super) struct Intake {
    origin: Arc<Origin>,
    reading: Reading,
    /// Everything before it was handed out.
    position: Offset,
    /// When the next micro-batch may begin.
    due: Instant,
}

/// What is read.
struct Origin {
    context: Arc<Context>,
    source: Arc<Source>,
    partition: Partition,
    decoder: Decoder,
}

/// Who has the reader.
enum Reading {
    Here(Box<dyn Reader>),
    Ahead(Ahead),
}

/// A task that reads the next micro-batch, the only one in its set: it is told to stop when the set is dropped.
struct Ahead {
    task: JoinSet<(Box<dyn Reader>, Read)>,
    /// Somebody waits for what it has.
    wanted: Arc<Notify>,
}

impl Intake {
    /// Begins at `from`.
    ///
    /// # Errors
    /// Whatever the log says, when it has said so for long enough.
    pub(super) async fn open(
        context: &Arc<Context>,
        source: &Arc<Source>,
        topic: Topic,
        partition: Partition,
        from: Offset,
    ) -> Result<Self, Error> {
        let decoder = Decoder::new(Arc::clone(source), partition, topic.partitions);
        let (context, source) = (Arc::clone(context), Arc::clone(source));
        let origin = Arc::new(Origin { context, source, partition, decoder });
        let reader = origin.reader(from).await?;
        Ok(Self {
            origin,
            position: reader.position(),
            reading: Reading::Here(reader),
            due: Instant::now(),
        })
    }

    /// Begins again, at `from`.
    ///
    /// # Errors
    /// As [`Intake::open`].
    pub(super) async fn reopen(&mut self, from: Offset) -> Result<(), Error> {
        self.stop().await;
        let reader = self.origin.reader(from).await?;
        (self.position, self.reading) = (reader.position(), Reading::Here(reader));
        Ok(())
    }

    /// Everything before it was handed out, and is in no micro-batch to come.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// The next micro-batch; `None`: nothing came for a while. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// Whatever the log says, when it has said so for long enough.
    pub(super) async fn next(&mut self) -> Result<Option<MicroBatch>, Error> {
        sleep_until(self.due).await;
        let read = match &mut self.reading {
            Reading::Here(reader) => self.origin.read(reader.as_mut()).await,
            Reading::Ahead(Ahead { task, wanted }) => {
                wanted.notify_one();
                let ended = task.join_next().await.expect("its task until that has ended");
                let (reader, read) = ended.map_err(|e| Error::Panicked(e.to_string()))?;
                self.reading = Reading::Here(reader);
                read
            }
        };
        let (position, batch) = read?;
        self.position = position;
        if let Some(batch) = &batch {
            self.due = Instant::now();
            if self.origin.is_full(&batch.records) {
                self.read_ahead();
            } else {
                self.due += self.origin.context.settings.pace();
            }
        }
        Ok(batch)
    }

    /// Reads no more; what was read ahead is dropped.
    pub(super) async fn stop(&mut self) {
        if let Reading::Ahead(Ahead { task, .. }) = &mut self.reading {
            task.shutdown().await;
        }
    }

    /// A full micro-batch means that more is there: while the lanes fold and commit this one, the next is read and
    /// decoded. One that was not full would only become fuller by waiting.
    fn read_ahead(&mut self) {
        let ahead = Ahead { task: JoinSet::new(), wanted: Arc::default() };
        let (origin, wanted) = (Arc::clone(&self.origin), Arc::clone(&ahead.wanted));
        let here = std::mem::replace(&mut self.reading, Reading::Ahead(ahead));
        if let (Reading::Here(mut reader), Reading::Ahead(ahead)) = (here, &mut self.reading) {
            ahead.task.spawn(async move {
                let read = origin.read_full(reader.as_mut(), &wanted).await;
                (reader, read)
            });
        }
    }
}

impl Origin {
    async fn reader(&self, from: Offset) -> Result<Box<dyn Reader>, Error> {
        retry(&self.context, "opening a reader", || {
            self.context.log.reader(&self.source.topic, self.partition, from)
        })
        .await
    }

    /// What is there, or comes within the poll's wait.
    async fn read(&self, reader: &mut dyn Reader) -> Read {
        let settings = &self.context.settings;
        let mut attempts = Attempts::new(&self.context, "reading the log");
        loop {
            match reader.next(settings.batch_records, settings.poll_wait()).await {
                Ok(records) => return Ok(self.decoded(records, reader)),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// A full micro-batch; when somebody waits for it, what is there by then.
    async fn read_full(&self, reader: &mut dyn Reader, wanted: &Notify) -> Read {
        let settings = &self.context.settings;
        let (mut records, mut is_wanted): (Vec<Record>, _) = (Vec::new(), false);
        while !self.is_full(&records) {
            if is_wanted && records.is_empty() {
                return self.read(reader).await;
            }
            let wait = if is_wanted { Duration::ZERO } else { settings.poll_wait() };
            let room = settings.batch_records - records.len();
            let more = tokio::select! {
                biased;
                () = wanted.notified(), if !is_wanted => {
                    is_wanted = true;
                    continue;
                }
                more = reader.next(room, wait) => more,
            };
            match more {
                Ok(more) if more.is_empty() && is_wanted => break,
                Ok(more) => records.extend(more),
                // What came before it is not lost; the next read meets it again.
                Err(_) if !records.is_empty() => break,
                Err(_) => return self.read(reader).await,
            }
        }
        Ok(self.decoded(records, reader))
    }

    fn decoded(&self, records: Vec<Record>, reader: &dyn Reader) -> (Offset, Option<MicroBatch>) {
        let decode = || self.decoder.decode(&records);
        let decoded = (!records.is_empty()).then(|| busy(records.len(), decode));
        (reader.position(), decoded.map(|decoded| MicroBatch { records, decoded }))
    }

    /// Whether more may be there: the log gives no more at once.
    fn is_full(&self, records: &[Record]) -> bool {
        let bytes = |record: &Record| record.key.len() + record.value.len();
        records.len() >= self.context.settings.batch_records
            || records.iter().map(bytes).sum::<usize>() >= READ_BYTES_MAX
    }
}
