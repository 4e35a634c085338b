//! The archive: the log as Parquet files, one per (topic, partition, range of offsets).
//!
//! A file holds the records' original bytes, which are the truth, and for people and other tools the
//! typed columns that the source's decoder made of them. Back-fills decode the bytes again, so a
//! changed definition reads an old archive. A file is written aside and renamed, is never written
//! again, and has a summary beside it: what is in the directory under its final name is whole.

mod check;
mod listing;
mod log;
mod published;
mod read;
mod summary;
mod tiered;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{EventBatch, Source};
use fold::Watermark;
use hashbrown::HashSet;
use record::{EventTime, LogId, Offset, Partition};

use crate::files::unhex;
use crate::{Error, Extent};

use listing::{Listing, Part};
pub use log::Frozen;
pub use read::PartitionReader;
pub use summary::Summary;
pub use tiered::Tiered;
pub use write::{Report, Settings, write};

/// An archive directory: `<topic>/<log id>/p<partition>/<first>-<next>.parquet`, and
/// `<topic>/<log id>/log.json`, which says how far each partition was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    root: PathBuf,
}

impl Archive {
    /// The archive under a directory; nothing is read or made yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn log_dir(&self, topic: &str, log: LogId) -> PathBuf {
        self.root.join(topic).join(log.to_string())
    }

    fn partition_dir(&self, topic: &str, log: LogId, partition: Partition) -> PathBuf {
        self.log_dir(topic, log).join(format!("p{partition}"))
    }

    /// What the archive holds of a topic.
    ///
    /// # Errors
    /// When it holds nothing, several logs, or files that are missing or do not join.
    pub fn extent(&self, topic: &str) -> Result<Extent, Error> {
        let log = self.log(topic)?;
        let published = published::read(&self.log_dir(topic, log))?;
        let end = |(published, partition): (&Offset, u32)| {
            let parts = self.listing(topic, log, Partition(partition))?.up_to(*published)?;
            Ok(parts.last().map_or(Offset(0), |part| part.next))
        };
        let ends = published.iter().zip(0..).map(end).collect::<Result<_, Error>>()?;
        Ok(Extent { log, ends })
    }

    /// What the archive holds of a source before the first record that counts and whose effective time
    /// is `cut` or later: a prefix of each partition that knows nothing of what came at the cut or after.
    ///
    /// # Errors
    /// As [`Archive::extent`].
    pub fn extent_before(&self, source: &Arc<Source>, cut: EventTime) -> Result<Extent, Error> {
        let mut extent = self.extent(&source.topic)?;
        let partitions = extent.ends.len() as u32;
        for (end, partition) in extent.ends.iter_mut().zip((0..).map(Partition)) {
            let decoder = Decoder::new(Arc::clone(source), partition, partitions);
            let mut watermark = Watermark::new(source, EventTime::MIN);
            let mut records = self.partition(&source.topic, partition, *end)?;
            while let Some(chunk) = records.next_chunk()? {
                let batch = decoder.decode(&chunk);
                if let Some(row) = first_at_or_after(&batch, &mut watermark, cut) {
                    *end = batch.offsets[row];
                    break;
                }
            }
        }
        Ok(extent)
    }

    /// The one log that is archived under a topic's name.
    fn log(&self, topic: &str) -> Result<LogId, Error> {
        let path = self.root.join(topic);
        match self.logs(topic)?.as_slice() {
            [] => Err(Error::NoArchive { topic: topic.to_owned(), path }),
            [log] => Ok(*log),
            logs => {
                let logs = logs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(Error::SeveralLogs { topic: topic.to_owned(), path, logs })
            }
        }
    }

    /// The logs that are archived under a topic's name.
    fn logs(&self, topic: &str) -> Result<Vec<LogId>, Error> {
        let path = self.root.join(topic);
        if !path.is_dir() {
            return Ok(Vec::new());
        }
        let mut logs = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(Error::io(&path))? {
            let name = entry.map_err(Error::io(&path))?.file_name();
            logs.extend(name.to_str().and_then(unhex).map(LogId));
        }
        logs.sort_unstable();
        Ok(logs)
    }

    fn listing(&self, topic: &str, log: LogId, partition: Partition) -> Result<Listing, Error> {
        Listing::read(&self.partition_dir(topic, log, partition))
    }

    /// The files of a partition in order, which join without gap or overlap from offset 0.
    fn parts(&self, topic: &str, log: LogId, partition: Partition) -> Result<Vec<Part>, Error> {
        let published = published::read(&self.log_dir(topic, log))?;
        let end = published.get(partition.0 as usize).copied().unwrap_or(Offset(0));
        self.listing(topic, log, partition)?.up_to(end)
    }

    /// Reads a partition's records up to `to`.
    ///
    /// # Errors
    /// As [`Archive::extent`]; or when the archive ends before `to`.
    pub fn partition(
        &self,
        topic: &str,
        partition: Partition,
        to: Offset,
    ) -> Result<PartitionReader, Error> {
        let log = self.log(topic)?;
        let parts = self.parts(topic, log, partition)?;
        let end = parts.last().map_or(Offset(0), |part| part.next);
        if end < to {
            let topic = topic.to_owned();
            return Err(Error::Lost { topic, partition, expected: end, first: to });
        }
        Ok(PartitionReader::new(partition, parts, to))
    }
}

/// The first row that counts and whose effective time is `cut` or later. What a source refuses (a time
/// in the future, say) ends nothing.
fn first_at_or_after(
    batch: &EventBatch,
    watermark: &mut Watermark,
    cut: EventTime,
) -> Option<usize> {
    let refused: HashSet<usize> = batch.rejections.iter().map(|rejection| rejection.row).collect();
    let rows = (0..batch.offsets.len()).filter(|row| !refused.contains(row));
    rows.into_iter().find(|row| {
        let judged = watermark.judge(batch.event_times[*row], batch.append_times[*row]);
        judged.is_ok_and(|effective| effective >= cut)
    })
}
