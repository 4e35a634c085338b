use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use definitions::{EventBatch, Source, decode::Decoder};
use event_log::EventLog;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use record::{LogId, Offset, Partition, Record};

use super::summary::{Summary, VERSION};
use super::{Archive, published};
use crate::records::UpTo;
use crate::{Error, Progress, Watch, files};

/// The columns that the reader needs; a source's typed ones stand after them, in a struct `columns`.
pub(super) const ENVELOPE: [&str; 4] = ["offset", "append_time_ms", "key", "value"];

/// How files are cut. A file that is smaller than `records_max` is the end of the log as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Records in a file at most.
    pub records_max: usize,
    /// Bytes of keys and values in a file at most, about; also what a partition holds in memory.
    pub bytes_max: usize,
    /// Rows of a row group.
    pub row_group: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { records_max: 262_144, bytes_max: 64 << 20, row_group: 65_536 }
    }
}

/// What an archive run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were written.
    pub records: u64,
    /// Files that were written.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Records among them that no source's decoder takes, by reason.
    pub rejected: BTreeMap<String, u64>,
}

/// Adds to the archive what the log has and it has not, up to the log's end as it is now: most often what
/// came since the last run, but files that are missing as well. Files that are there are not touched; a
/// run that was killed is simply run again.
///
/// `sources` are the definitions' sources: their topics get typed columns. Any other topic is
/// archived with its envelope only.
///
/// # Errors
/// When the log does not hold what is missing any more or has lost what is archived, or either side
/// fails.
pub async fn write(
    log: &dyn EventLog,
    archive: &Archive,
    topic: &str,
    source: Option<&Arc<Source>>,
    settings: &Settings,
    watch: &Watch,
) -> Result<Report, Error> {
    let of = log.topic(topic).await?;
    let log_dir = archive.log_dir(topic, of.log);
    files::create_dir(&log_dir)?;
    let _lock = lock(&log_dir)?;
    let partitions = || (0..of.partitions).map(Partition);
    let mut ends = Vec::new();
    for partition in partitions() {
        files::create_dir(&archive.partition_dir(topic, of.log, partition))?;
        ends.push(archive.end(topic, of.log, partition)?);
    }
    let bounds = log.bounds(topic).await?;
    let mut report = Report::default();
    let mut todo = Vec::new();
    for ((bounds, partition), end) in bounds.iter().zip(partitions()).zip(&ends) {
        archive.is_not_ahead(topic, partition, *end, bounds.next)?;
        let listing = archive.listing(topic, of.log, partition)?;
        let holes = listing.holes(bounds.next)?;
        if let Some((expected, _)) = holes.first().filter(|(from, _)| *from < bounds.first) {
            let (topic, expected, first) = (topic.to_owned(), *expected, bounds.first);
            return Err(Error::Lost { topic, partition, expected, first });
        }
        todo.push((partition, listing, holes));
    }
    let holes = todo.iter().flat_map(|(_, _, holes)| holes);
    let total = holes.map(|(from, to)| to.0 - from.0).sum();
    let mut done = 0;
    for (partition, listing, holes) in todo {
        let mut file =
            Cut { archive, topic, log: of.log, partition, source, settings, of: of.partitions };
        for (from, to) in holes {
            let end = ends[partition.0 as usize];
            if from < end {
                tracing::warn!(topic, %partition, %from, %to, "not in the archive any more: written again from the log");
            }
            let mut reader = UpTo::open(log, topic, partition, from, to).await?;
            let (mut first, mut held, mut bytes) = (from, Vec::new(), 0);
            while let Some(records) = reader.next().await? {
                for record in records {
                    bytes += record.key.len() + record.value.len();
                    let next = record.offset.next();
                    held.push(record);
                    if held.len() >= settings.records_max || bytes >= settings.bytes_max {
                        done += held.len() as u64;
                        file.write(first, next, std::mem::take(&mut held), &mut report)?;
                        (first, bytes) = (next, 0);
                        watch(Progress { step: "archive", done, total: Some(total) });
                    }
                }
            }
            // Everything before `to` was read: what is not there is a gap of the log. At the log's end
            // it may wait; before a file that is there it may not.
            if !held.is_empty() || (first < to && to <= end) {
                done += held.len() as u64;
                file.write(first, to, held, &mut report)?;
                watch(Progress { step: "archive", done, total: Some(total) });
            }
        }
        listing.forget_halves()?;
    }
    let whole = |partition| {
        let listing = archive.listing(topic, of.log, partition)?;
        Ok(listing.whole()?.last().map_or(Offset(0), |part| part.next))
    };
    published::write(&log_dir, &partitions().map(whole).collect::<Result<Vec<_>, Error>>()?)?;
    Ok(report)
}

/// One run at a time; the lock goes with the process.
fn lock(log_dir: &Path) -> Result<File, Error> {
    let path = log_dir.join("lock");
    let file = File::create(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { path }),
        Err(TryLockError::Error(error)) => Err(Error::io(&path)(error)),
    }
}

/// One partition's next file.
struct Cut<'a> {
    archive: &'a Archive,
    topic: &'a str,
    log: LogId,
    partition: Partition,
    source: Option<&'a Arc<Source>>,
    settings: &'a Settings,
    of: u32,
}

impl Cut<'_> {
    fn write(
        &mut self,
        first: Offset,
        next: Offset,
        records: Vec<Record>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let dir = self.archive.partition_dir(self.topic, self.log, self.partition);
        let path = dir.join(format!("{:020}-{:020}.parquet", first.0, next.0));
        let decoder =
            self.source.map(|source| Decoder::new(Arc::clone(source), self.partition, self.of));
        let decoded = decoder.map(|decoder| decoder.decode(&records));
        let batch = batch(&records, decoded.as_ref())?;
        let bytes = encode(&path, &batch, self.settings.row_group)?;
        let mut rejected = BTreeMap::new();
        for rejection in decoded.iter().flat_map(|decoded| &decoded.rejections) {
            *rejected.entry(rejection.reason.as_str().to_owned()).or_insert(0) += 1;
        }
        let max_effective_us = match (&decoded, self.source) {
            (Some(decoded), Some(source)) => max_effective(decoded, source),
            _ => None,
        };
        let summary = Summary {
            version: VERSION,
            first: first.0,
            next: next.0,
            records: records.len() as u64,
            rejected: rejected.clone(),
            max_effective_us,
            bytes: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
        };
        let json = serde_json::to_vec_pretty(&summary).expect("a summary is plain data");
        // The summary first: a Parquet file under its final name always has one.
        files::write(&Summary::path(&path), &json)?;
        files::write(&path, &bytes)?;
        report.records += summary.records;
        report.files += 1;
        report.bytes += summary.bytes;
        for (reason, count) in rejected {
            *report.rejected.entry(reason).or_insert(0) += count;
        }
        Ok(())
    }
}

fn max_effective(decoded: &EventBatch, source: &Source) -> Option<i64> {
    let mut watermark = fold::Watermark::new(source, record::EventTime::MIN);
    let mut rejected = decoded.rejections.iter().map(|rejection| rejection.row).peekable();
    let mut greatest = None;
    for (row, event) in decoded.event_times.iter().enumerate() {
        if rejected.next_if_eq(&row).is_some() {
            continue;
        }
        if let Ok(effective) = watermark.judge(*event, decoded.append_times[row]) {
            greatest = greatest.max(Some(effective.0));
        }
    }
    greatest
}

fn batch(records: &[Record], decoded: Option<&EventBatch>) -> Result<RecordBatch, Error> {
    let mut columns: Vec<(&str, ArrayRef, bool)> = vec![
        (ENVELOPE[0], Arc::new(records.iter().map(|r| r.offset.0).collect::<UInt64Array>()), false),
        (
            ENVELOPE[1],
            Arc::new(records.iter().map(|r| r.append_time.0).collect::<Int64Array>()),
            false,
        ),
        (
            ENVELOPE[2],
            Arc::new(BinaryArray::from_iter_values(records.iter().map(|r| &r.key))),
            false,
        ),
        (
            ENVELOPE[3],
            Arc::new(BinaryArray::from_iter_values(records.iter().map(|r| &r.value))),
            false,
        ),
    ];
    if let Some(decoded) = decoded {
        let mut reasons = vec![None; records.len()];
        for rejection in &decoded.rejections {
            reasons[rejection.row] = Some(rejection.reason.as_str());
        }
        let times = decoded.event_times.iter().zip(&reasons);
        let times = times.map(|(time, reason)| reason.is_none().then_some(time.0));
        columns.push((
            "event_time_us",
            Arc::new(times.collect::<TimestampMicrosecondArray>()),
            true,
        ));
        columns.push(("rejected", Arc::new(StringArray::from(reasons)), true));
        let typed = arrow::array::StructArray::from(decoded.columns.clone());
        columns.push(("columns", Arc::new(typed), true));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}

fn encode(path: &Path, batch: &RecordBatch, row_group: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: parquet::errors::ParquetError| Error::Io {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(row_group))
        .set_created_by("twofold".to_owned())
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    writer.close().map_err(failed)?;
    Ok(bytes)
}
