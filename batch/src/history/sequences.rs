use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Builder, ListBuilder, RecordBatch, StringBuilder};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use record::EventTime;

use super::History;
use crate::{Error, files};

/// Visitors in a row group.
const ROW_GROUP: usize = 16_384;

impl History {
    /// Writes what visitors looked at before `until` as Parquet: `visitor` (Utf8), `items` (list of
    /// Utf8), `times_us` (list of Int64), by visitor, oldest first. Visitors with one event are in it
    /// too. Gives the number of sequences.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_sequences(&self, path: &Path, until: EventTime) -> Result<u64, Error> {
        let aside = files::aside(path);
        let failed = |error: parquet::errors::ParquetError| Error::Io {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        };
        let file = std::fs::File::create(&aside).map_err(Error::io(&aside))?;
        let sync = file.try_clone().map_err(Error::io(&aside))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("twofold".to_owned())
            .build();
        let mut chunk = Chunk::default();
        let mut writer =
            ArrowWriter::try_new(file, chunk.take()?.schema(), Some(properties)).map_err(failed)?;
        let mut count = 0;
        for events in self.events.chunk_by(|a, b| a.visitor == b.visitor) {
            let known = events.iter().filter(|event| event.at < until);
            let known: Vec<_> = known.map(|e| (&*self.items[e.item as usize], e.at.0)).collect();
            if known.is_empty() {
                continue;
            }
            chunk.push(&self.visitors[events[0].visitor as usize], &known);
            count += 1;
            if chunk.rows == ROW_GROUP {
                writer.write(&chunk.take()?).map_err(failed)?;
                writer.flush().map_err(failed)?;
            }
        }
        writer.write(&chunk.take()?).map_err(failed)?;
        writer.close().map_err(failed)?;
        sync.sync_all().map_err(Error::io(&aside))?;
        files::write(&checksum(path), files::sha256(&files::read(&aside)?).as_bytes())?;
        files::publish(&aside, path)?;
        Ok(count)
    }
}

/// Compares a file of [`History::write_sequences`] with the checksum beside it.
///
/// # Errors
/// When they differ or one is not there.
pub fn verify_sequences(path: &Path) -> Result<(), Error> {
    let damaged = |what: &str| Error::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
        remedy: "run `twofold backfill`, which writes it again",
    };
    let expected =
        files::read(&checksum(path)).map_err(|_| damaged("has no checksum beside it"))?;
    match files::sha256(&files::read(path)?).as_bytes() == expected {
        true => Ok(()),
        false => Err(damaged("is not what was written")),
    }
}

/// The file's SHA-256 in hexadecimal; written before it, so that there is none without.
fn checksum(path: &Path) -> PathBuf {
    path.with_extension("parquet.sha256")
}

struct Chunk {
    visitors: StringBuilder,
    items: ListBuilder<StringBuilder>,
    times: ListBuilder<Int64Builder>,
    rows: usize,
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            visitors: StringBuilder::new(),
            items: ListBuilder::new(StringBuilder::new()),
            times: ListBuilder::new(Int64Builder::new()),
            rows: 0,
        }
    }
}

impl Chunk {
    fn push(&mut self, visitor: &str, events: &[(&str, i64)]) {
        self.visitors.append_value(visitor);
        for (item, at) in events {
            self.items.values().append_value(item);
            self.times.values().append_value(*at);
        }
        self.items.append(true);
        self.times.append(true);
        self.rows += 1;
    }

    fn take(&mut self) -> Result<RecordBatch, Error> {
        self.rows = 0;
        let columns: [(&str, arrow::array::ArrayRef); 3] = [
            ("visitor", Arc::new(self.visitors.finish())),
            ("items", Arc::new(self.items.finish())),
            ("times_us", Arc::new(self.times.finish())),
        ];
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}
