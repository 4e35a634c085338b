use std::collections::VecDeque;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, UInt64Type};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use record::{AppendTime, Offset, Partition, Record};

use super::summary::{REMEDY, Summary};
use super::{Part, write};
use crate::{Error, files};

/// Records in one chunk.
const CHUNK: usize = 8192;

/// Reads the records of one partition, file by file; one file at a time is in memory.
pub struct PartitionReader {
    partition: Partition,
    parts: VecDeque<Part>,
    to: Offset,
    /// The first of the parts.
    open: Option<ParquetRecordBatchReader>,
}

impl PartitionReader {
    pub(super) fn new(partition: Partition, parts: Vec<Part>, to: Offset) -> Self {
        Self { partition, parts: parts.into(), to, open: None }
    }

    /// The next records, in offset order; `None` at the end.
    ///
    /// # Errors
    /// When a file is torn or does not match its summary. To ask again is to read that file again: what is behind
    /// it is never given in its stead.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<Record>>, Error> {
        while let Some(part) = self.parts.front().filter(|part| part.first < self.to) {
            let mut reader = match self.open.take() {
                Some(reader) => reader,
                None => open(part)?,
            };
            let Some(batch) = reader.next() else {
                self.parts.pop_front();
                continue;
            };
            let batch = batch.map_err(|error| damaged(&part.path, error.to_string()))?;
            self.open = Some(reader);
            let mut records = records(self.partition, &batch);
            records.retain(|record| record.offset < self.to);
            return Ok((!records.is_empty()).then_some(records));
        }
        Ok(None)
    }
}

fn damaged(path: &std::path::Path, what: String) -> Error {
    Error::Damaged { path: path.to_owned(), what, remedy: REMEDY }
}

fn open(part: &Part) -> Result<ParquetRecordBatchReader, Error> {
    let path = &part.path;
    let summary = Summary::read(path)?;
    let bytes = files::read(path)?;
    if (summary.first, summary.next) != (part.first.0, part.next.0) {
        let (first, next) = (summary.first, summary.next);
        return Err(damaged(path, format!("its summary says offsets {first}..{next}")));
    }
    let found = blake3::hash(&bytes).to_hex();
    if *found != *summary.blake3 {
        let what = format!(
            "torn or changed: {} bytes with BLAKE3 {found}, its summary says {} bytes with {}",
            bytes.len(),
            summary.bytes,
            summary.blake3
        );
        return Err(damaged(path, what));
    }
    let torn = |error: parquet::errors::ParquetError| damaged(path, error.to_string());
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).map_err(torn)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), write::ENVELOPE);
    builder.with_projection(columns).with_batch_size(CHUNK).build().map_err(torn)
}

fn records(partition: Partition, batch: &RecordBatch) -> Vec<Record> {
    let offsets = batch.column(0).as_primitive::<UInt64Type>();
    let times = batch.column(1).as_primitive::<Int64Type>();
    let (keys, values) = (batch.column(2).as_binary::<i32>(), batch.column(3).as_binary::<i32>());
    (0..batch.num_rows())
        .map(|row| Record {
            partition,
            offset: Offset(offsets.value(row)),
            append_time: AppendTime(times.value(row)),
            key: keys.value(row).to_vec(),
            value: values.value(row).to_vec(),
            trace: None,
        })
        .collect()
}
