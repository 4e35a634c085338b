//! Where a source's lanes get a partition's records from: read and decoded, one micro-batch ahead of them while there
//! is a backlog.

use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{EventBatch, Source};
use event_log::{Reader, Topic};
use record::{Offset, Partition, Record};
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
    /// A task of its own, the only one in the set, so that it ends with it.
    Ahead(JoinSet<(Box<dyn Reader>, Read)>),
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
            Reading::Ahead(task) => {
                let ended =
                    task.join_next().await.expect("the set has its task until it has ended");
                let (reader, read) = ended.map_err(|e| Error::Panicked(e.to_string()))?;
                self.reading = Reading::Here(reader);
                read
            }
        };
        let (position, batch) = read?;
        self.position = position;
        let settings = &self.origin.context.settings;
        if let Some(batch) = &batch {
            self.due = Instant::now();
            if batch.records.len() < settings.batch_records {
                self.due += settings.pace();
            } else {
                self.read_ahead();
            }
        }
        Ok(batch)
    }

    /// Stops reading; when this returns, nobody holds the reader any more.
    pub(super) async fn close(self) {
        if let Reading::Ahead(mut task) = self.reading {
            task.shutdown().await;
        }
    }

    /// A full micro-batch means that more is there: while the lanes fold and commit this one, the next is read and
    /// decoded. One that was not full would only become fuller by waiting.
    fn read_ahead(&mut self) {
        let mut task = JoinSet::new();
        if let Reading::Here(mut reader) =
            std::mem::replace(&mut self.reading, Reading::Ahead(JoinSet::new()))
        {
            let origin = Arc::clone(&self.origin);
            task.spawn(async move {
                let read = origin.read(reader.as_mut()).await;
                (reader, read)
            });
        }
        self.reading = Reading::Ahead(task);
    }
}

impl Origin {
    async fn reader(&self, from: Offset) -> Result<Box<dyn Reader>, Error> {
        retry(&self.context, "opening a reader", || {
            self.context.log.reader(&self.source.topic, self.partition, from)
        })
        .await
    }

    async fn read(&self, reader: &mut dyn Reader) -> Read {
        let settings = &self.context.settings;
        let mut attempts = Attempts::new(&self.context, "reading the log");
        let records = loop {
            match reader.next(settings.batch_records, settings.poll_wait()).await {
                Ok(records) => break records,
                Err(error) => attempts.pause(error).await?,
            }
        };
        let decode = || self.decoder.decode(&records);
        let decoded = (!records.is_empty()).then(|| busy(records.len(), decode));
        Ok((reader.position(), decoded.map(|decoded| MicroBatch { records, decoded })))
    }
}
