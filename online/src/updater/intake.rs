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

use super::context::Context;
use super::retry::{Attempts, retry};
use super::{Error, Settings};
use crate::busy::busy;

/// A micro-batch: at least one record.
pub(super) struct MicroBatch {
    pub(super) records: Vec<Record>,
    pub(super) decoded: EventBatch,
}

/// What one read gives.
struct Read {
    /// Where the reader stands after it.
    position: Offset,
    /// What came, if anything did.
    batch: Option<MicroBatch>,
    /// What stopped it behind that.
    fault: Option<event_log::Error>,
}

/// Reads and decodes a partition.
pub(super) struct Intake {
    origin: Arc<Origin>,
    reading: Reading,
    /// Everything before it was handed out.
    position: Offset,
    /// What stands behind it, instead of records.
    fault: Option<event_log::Error>,
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
    task: JoinSet<(Box<dyn Reader>, Result<Read, Error>)>,
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
            fault: None,
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
        (self.position, self.reading, self.fault) =
            (reader.position(), Reading::Here(reader), None);
        Ok(())
    }

    /// Everything before it was handed out, and is in no micro-batch to come.
    pub(super) fn position(&self) -> Offset {
        self.position
    }

    /// The next micro-batch; `None`: nothing came for a while. A call that is dropped loses no record.
    ///
    /// # Errors
    /// Whatever the log says, when it has said so for long enough.
    pub(super) async fn next(&mut self) -> Result<Option<MicroBatch>, Error> {
        sleep_until(self.due).await;
        let read = match &mut self.reading {
            Reading::Here(reader) => self.origin.read(reader.as_mut(), &mut self.fault).await,
            Reading::Ahead(Ahead { task, wanted }) => {
                wanted.notify_one();
                let ended = task.join_next().await.expect("its task until that has ended");
                let (reader, read) = ended.map_err(|e| Error::Panicked(e.to_string()))?;
                self.reading = Reading::Here(reader);
                read
            }
        };
        let Read { position, batch, fault } = read?;
        (self.position, self.fault) = (position, fault);
        if let Some(batch) = &batch {
            self.due = Instant::now();
            let settings = &self.origin.context.settings;
            match is_full(settings, batch.records.len(), bytes(&batch.records)) {
                true => self.read_ahead(),
                false => self.due += settings.pace(),
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

    /// What is there, or comes within the poll's wait. `fault`, which the last read met behind its records, counts
    /// as the first attempt.
    async fn read(
        &self,
        reader: &mut dyn Reader,
        fault: &mut Option<event_log::Error>,
    ) -> Result<Read, Error> {
        let settings = &self.context.settings;
        let mut attempts = Attempts::new(&self.context, "reading the log");
        if let Some(error) = fault.take() {
            attempts.pause(error).await?;
        }
        loop {
            match reader.next(settings.batch_records, settings.poll_wait()).await {
                Ok(records) => return Ok(self.decoded(records, None, reader)),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// A full micro-batch; when somebody waits for it, what is there by then.
    async fn read_full(&self, reader: &mut dyn Reader, wanted: &Notify) -> Result<Read, Error> {
        let settings = &self.context.settings;
        let mut attempts = Attempts::new(&self.context, "reading the log");
        let (mut records, mut size, mut is_wanted) = (Vec::new(), 0, false);
        while !is_full(settings, records.len(), size) {
            let room = settings.batch_records - records.len();
            match self.more(reader, room, wanted, &mut is_wanted).await {
                Ok(more) if more.is_empty() && is_wanted && records.is_empty() => {
                    return self.read(reader, &mut None).await;
                }
                Ok(more) if more.is_empty() && is_wanted => break,
                Ok(more) => {
                    size += bytes(&more);
                    records.extend(more);
                }
                Err(error) if records.is_empty() => attempts.pause(error).await?,
                Err(error) => return Ok(self.decoded(records, Some(error), reader)),
            }
        }
        Ok(self.decoded(records, None, reader))
    }

    /// What is there; where nothing is, what comes until somebody waits for the micro-batch.
    async fn more(
        &self,
        reader: &mut dyn Reader,
        room: usize,
        wanted: &Notify,
        is_wanted: &mut bool,
    ) -> Result<Vec<Record>, event_log::Error> {
        // Not dropped, whoever waits: a log that reads on a thread of its own would begin anew beside it.
        let there = reader.next(room, Duration::ZERO).await?;
        if *is_wanted || !there.is_empty() {
            return Ok(there);
        }
        tokio::select! {
            biased;
            () = wanted.notified() => {
                *is_wanted = true;
                Ok(Vec::new())
            }
            came = reader.next(room, self.context.settings.poll_wait()) => came,
        }
    }

    fn decoded(
        &self,
        records: Vec<Record>,
        fault: Option<event_log::Error>,
        reader: &dyn Reader,
    ) -> Read {
        let decode = || self.decoder.decode(&records);
        let decoded = (!records.is_empty()).then(|| busy(records.len(), decode));
        let batch = decoded.map(|decoded| MicroBatch { records, decoded });
        Read { position: reader.position(), batch, fault }
    }
}

/// Whether more may be there: a log gives no more at once.
fn is_full(settings: &Settings, records: usize, bytes: usize) -> bool {
    records >= settings.batch_records || bytes >= READ_BYTES_MAX
}

fn bytes(records: &[Record]) -> usize {
    records.iter().map(|record| record.key.len() + record.value.len()).sum()
}
