//! Records to read: from the archive's files or from the live log, by the same rules.

mod up_to;

use std::sync::Arc;

use event_log::EventLog;
use record::{LogId, Offset, Partition, Record};

use crate::Error;
use crate::archive::{Archive, PartitionReader};
pub use up_to::UpTo;

/// Where records come from.
#[derive(Clone)]
pub enum Records {
    /// The live log; it must still hold everything from offset 0 on.
    Log(Arc<dyn EventLog>),
    /// Archive files.
    Archive(Archive),
}

/// What there is of a topic: offsets `0..ends[p]` of each partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The log.
    pub log: LogId,
    /// End of each partition.
    pub ends: Vec<Offset>,
}

/// Records of one partition, chunk by chunk.
pub(crate) enum Chunks {
    Log(UpTo),
    Archive(PartitionReader),
}

impl Records {
    /// What there is of a topic now.
    ///
    /// # Errors
    /// When there is no such topic, or its beginning is gone.
    pub async fn extent(&self, topic: &str) -> Result<Extent, Error> {
        match self {
            Self::Archive(archive) => archive.extent(topic),
            Self::Log(log) => {
                let of = log.topic(topic).await?;
                let bounds = log.bounds(topic).await?;
                for (bounds, partition) in bounds.iter().zip(0..) {
                    if bounds.first > Offset(0) {
                        return Err(Error::Lost {
                            topic: topic.to_owned(),
                            partition: Partition(partition),
                            expected: Offset(0),
                            first: bounds.first,
                        });
                    }
                }
                Ok(Extent { log: of.log, ends: bounds.iter().map(|b| b.next).collect() })
            }
        }
    }

    /// [`Records::extent`], or no partition at all where there is no such topic: a source that never
    /// had a record.
    ///
    /// # Errors
    /// As [`Records::extent`].
    pub async fn extent_or_nothing(&self, topic: &str) -> Result<Extent, Error> {
        match self.extent(topic).await {
            Err(Error::NoArchive { .. } | Error::Log(event_log::Error::NoTopic { .. })) => {
                Ok(Extent { log: LogId([0; 16]), ends: Vec::new() })
            }
            other => other,
        }
    }

    /// The records of a partition from offset 0 up to `to`.
    pub(crate) async fn chunks(
        &self,
        topic: &str,
        partition: Partition,
        to: Offset,
    ) -> Result<Chunks, Error> {
        Ok(match self {
            Self::Archive(archive) => Chunks::Archive(archive.partition(topic, partition, to)?),
            Self::Log(log) => {
                Chunks::Log(UpTo::open(&**log, topic, partition, Offset(0), to).await?)
            }
        })
    }
}

impl Chunks {
    /// The next records, in offset order; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Record>>, Error> {
        match self {
            Self::Archive(reader) => reader.next_chunk(),
            Self::Log(log) => log.next().await,
        }
    }
}
