//! What visitors looked at, in order: the retriever's training data.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, Int64Array, ListArray, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Why sequences could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Not Parquet, or torn.
    #[error("{path} is not a whole Parquet file ({what}); write it again with `twofold backfill`")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        what: String,
    },
    /// A column is missing or of another type.
    #[error("{path}: column `{column}` must be {expected}, found {found}")]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// Its type.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A row breaks the format's promise.
    #[error("{path}: row {row}: {what}")]
    Row {
        /// The file.
        path: PathBuf,
        /// From 0.
        row: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Sequences of items with their times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequences {
    /// Ids, ascending; an item's ordinal is its place, so it does not depend on the file's order.
    pub items: Vec<Arc<str>>,
    /// One sequence a visitor: (ordinal, microseconds since the epoch), oldest first; the sequences
    /// themselves are sorted by content.
    pub sequences: Vec<Vec<(u32, i64)>>,
}

impl Sequences {
    /// From sequences of ids, each sorted by time.
    #[must_use]
    pub fn new(sequences: &[Vec<(Arc<str>, i64)>]) -> Self {
        let ids: BTreeSet<Arc<str>> =
            sequences.iter().flatten().map(|(item, _)| item.clone()).collect();
        let items: Vec<Arc<str>> = ids.into_iter().collect();
        let ordinal = |id: &Arc<str>| items.binary_search(id).expect("every id was collected");
        let mut sequences: Vec<Vec<(u32, i64)>> = sequences
            .iter()
            .map(|s| s.iter().map(|(id, at)| (ordinal(id) as u32, *at)).collect())
            .collect();
        // By content, so that what is trained does not depend on who came first in a file.
        sequences.sort();
        Self { items, sequences }
    }

    /// Reads Parquet with the columns `visitor` (Utf8), `items` (List of Utf8) and `times_us` (List of
    /// Int64, ascending).
    ///
    /// # Errors
    /// When the file is torn, a column is missing or of another type, a row's lists differ in length,
    /// hold a null, or are not in the order of time.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file =
            File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        let torn = |what: String| Error::Parquet { path: path.to_owned(), what };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(4096).build())
            .map_err(|e| torn(e.to_string()))?;
        let mut rows = Vec::new();
        for batch in reader {
            read_batch(path, &batch.map_err(|e| torn(e.to_string()))?, &mut rows)?;
        }
        Ok(Self::new(&rows))
    }

    /// Only what happened at or before `until_us`; items that are seen later only are not in it.
    #[must_use]
    pub fn until(&self, until_us: i64) -> Self {
        let kept: Vec<Vec<(Arc<str>, i64)>> = self
            .sequences
            .iter()
            .map(|s| {
                let known = s.iter().filter(|(_, at)| *at <= until_us);
                known.map(|&(item, at)| (self.items[item as usize].clone(), at)).collect()
            })
            .filter(|s: &Vec<_>| !s.is_empty())
            .collect();
        Self::new(&kept)
    }

    /// Time of the last event, in microseconds since the epoch.
    #[must_use]
    pub fn last_us(&self) -> Option<i64> {
        self.sequences.iter().filter_map(|s| s.last()).map(|(_, at)| *at).max()
    }

    /// The time that leaves `share` of the events after it: where to end the retriever's history, so
    /// that the ranker's spine can begin strictly after. `None` without events.
    #[must_use]
    pub fn cut_us(&self, share_after: f64) -> Option<i64> {
        let mut times: Vec<i64> = self.sequences.iter().flatten().map(|(_, at)| *at).collect();
        times.sort_unstable();
        let after = (times.len() as f64 * share_after.clamp(0.0, 1.0)) as usize;
        times.len().checked_sub(after + 1).map(|last| times[last])
    }
}

fn read_batch(
    path: &Path,
    batch: &RecordBatch,
    rows: &mut Vec<Vec<(Arc<str>, i64)>>,
) -> Result<(), Error> {
    let list = |column: &'static str, expected: &'static str| {
        let found = batch.column_by_name(column);
        found.and_then(|c| c.as_any().downcast_ref::<ListArray>()).ok_or_else(|| {
            let found = found.map_or("none".to_owned(), |c| c.data_type().to_string());
            Error::Column { path: path.to_owned(), column, expected, found }
        })
    };
    let items = list("items", "List of Utf8")?;
    let times = list("times_us", "List of Int64")?;
    for row in 0..batch.num_rows() {
        let broken = |what| Error::Row { path: path.to_owned(), row: rows.len(), what };
        let (ids, ats) = (items.value(row), times.value(row));
        let ids = ids.as_any().downcast_ref::<StringArray>();
        let ids = ids.ok_or_else(|| broken("`items` does not hold Utf8"))?;
        let ats = ats.as_any().downcast_ref::<Int64Array>();
        let ats = ats.ok_or_else(|| broken("`times_us` does not hold Int64"))?;
        if ids.len() != ats.len() {
            return Err(broken("`items` and `times_us` differ in length"));
        }
        if ids.null_count() + ats.null_count() > 0 {
            return Err(broken("a null in `items` or `times_us`"));
        }
        if ats.values().windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(broken("`times_us` is not in order"));
        }
        rows.push(ids.iter().flatten().map(Arc::from).zip(ats.values().iter().copied()).collect());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, ListBuilder, PrimitiveBuilder, StringBuilder};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::ArrowWriter;

    fn write(path: &Path, rows: &[(&str, &[&str], &[i64])]) {
        let mut visitor = StringBuilder::new();
        let mut items = ListBuilder::new(StringBuilder::new());
        let mut times = ListBuilder::new(PrimitiveBuilder::<Int64Type>::new());
        for (v, ids, ats) in rows {
            visitor.append_value(v);
            ids.iter().for_each(|id| items.values().append_value(id));
            items.append(true);
            times.values().append_slice(ats);
            times.append(true);
        }
        let batch = RecordBatch::try_from_iter([
            ("visitor", Arc::new(visitor.finish()) as ArrayRef),
            ("items", Arc::new(items.finish())),
            ("times_us", Arc::new(times.finish())),
        ])
        .unwrap();
        let file = File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn reads_what_batch_writes_and_cuts_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sequences.parquet");
        write(&path, &[("v1", &["b", "a", "b"], &[1, 2, 9]), ("v2", &["c"], &[5])]);
        let all = Sequences::read(&path).unwrap();
        assert_eq!(all.items, ["a", "b", "c"].map(Arc::from));
        assert_eq!(all.sequences, [vec![(1, 1), (0, 2), (1, 9)], vec![(2, 5)]]);
        assert_eq!(all.last_us(), Some(9));
        assert_eq!(all.cut_us(0.5), Some(2));
        let early = all.until(2);
        assert_eq!(early.items, ["a", "b"].map(Arc::from));
        assert_eq!(early.sequences, [vec![(1, 1), (0, 2)]]);
    }

    #[test]
    fn refuses_broken_rows_and_torn_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sequences.parquet");
        write(&path, &[("v1", &["b"], &[1]), ("v2", &["a", "b"], &[7, 6])]);
        let error = Sequences::read(&path).unwrap_err();
        assert!(matches!(&error, Error::Row { row: 1, .. }), "{error}");
        write(&path, &[("v1", &["b"], &[])]);
        assert!(matches!(Sequences::read(&path), Err(Error::Row { row: 0, .. })));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert!(matches!(Sequences::read(&path), Err(Error::Parquet { .. })));
        assert!(matches!(Sequences::read(&dir.path().join("none")), Err(Error::Io { .. })));
    }
}
