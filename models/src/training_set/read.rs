//! Reads `examples.parquet` into row-major memory.

use std::fs::File;
use std::path::Path;

use arrow::array::{Array, Float32Array, Int64Array, RecordBatch, UInt8Array, UInt64Array};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Error, Manifest, TASKS};

/// Rows in memory.
pub(super) struct Examples {
    pub(super) inputs: Vec<f32>,
    pub(super) labels: Vec<u8>,
    pub(super) starts: Vec<usize>,
    pub(super) at_us: Vec<i64>,
}

/// Reads every row and checks it against the manifest.
pub(super) fn examples(path: &Path, manifest: &Manifest) -> Result<Examples, Error> {
    let file = File::open(path).map_err(|e| Error::Io { path: path.to_owned(), source: e })?;
    let torn = |what: String| Error::Parquet { path: path.to_owned(), what };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(8192).build())
        .map_err(|e| torn(e.to_string()))?;
    let mut reading = Reading {
        path,
        manifest,
        last: None,
        out: Examples {
            inputs: Vec::with_capacity(manifest.rows as usize * manifest.inputs.len()),
            labels: Vec::with_capacity(manifest.rows as usize * TASKS.len()),
            starts: Vec::new(),
            at_us: Vec::new(),
        },
    };
    for batch in reader {
        reading.batch(&batch.map_err(|e| torn(e.to_string()))?)?;
    }
    reading.finish()
}

struct Reading<'a> {
    path: &'a Path,
    manifest: &'a Manifest,
    last: Option<u64>,
    out: Examples,
}

impl Reading<'_> {
    fn column<'b, A: Array + 'static>(
        &self,
        batch: &'b RecordBatch,
        name: &str,
        expected: &'static str,
    ) -> Result<&'b A, Error> {
        let found = batch.column_by_name(name);
        let typed = found.and_then(|c| c.as_any().downcast_ref::<A>());
        typed.filter(|c| c.null_count() == 0).ok_or_else(|| Error::Column {
            path: self.path.to_owned(),
            column: name.to_owned(),
            expected,
            found: match found {
                None => "none".to_owned(),
                Some(c) if typed.is_some() => format!("{} nulls", c.null_count()),
                Some(c) => c.data_type().to_string(),
            },
        })
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let positions: &UInt64Array = self.column(batch, "position", "UInt64 without nulls")?;
        let at_us: &Int64Array = self.column(batch, "at_us", "Int64 without nulls")?;
        let tasks = TASKS.map(|task| self.column::<UInt8Array>(batch, task, "UInt8 without nulls"));
        let tasks = tasks.into_iter().collect::<Result<Vec<_>, _>>()?;
        let names = self.manifest.inputs.iter();
        let inputs = names
            .map(|name| self.column::<Float32Array>(batch, name, "Float32 without nulls"))
            .collect::<Result<Vec<_>, _>>()?;
        let first = self.rows();
        for row in 0..batch.num_rows() {
            self.position(first + row, positions.value(row), at_us.value(row))?;
            for task in &tasks {
                let label = task.value(row);
                if label > 1 {
                    let what = format!("a label of {label}, expected 0 or 1");
                    return Err(Error::Row { row: first + row, what });
                }
                self.out.labels.push(label);
            }
            for (column, name) in inputs.iter().zip(&self.manifest.inputs) {
                let value = column.value(row);
                if !value.is_finite() {
                    return Err(Error::NotFinite { row: first + row, input: name.clone(), value });
                }
                self.out.inputs.push(value);
            }
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.out.labels.len() / TASKS.len()
    }

    fn position(&mut self, row: usize, position: u64, at_us: i64) -> Result<(), Error> {
        match self.last {
            Some(last) if last == position => {
                if self.out.at_us.last() != Some(&at_us) {
                    let what = format!("position {position} has two times");
                    return Err(Error::Row { row, what });
                }
                return Ok(());
            }
            Some(last) if last > position => {
                let what = format!("position {position} comes after {last}");
                return Err(Error::Row { row, what });
            }
            _ => {}
        }
        self.last = Some(position);
        self.out.starts.push(row);
        self.out.at_us.push(at_us);
        Ok(())
    }

    fn finish(mut self) -> Result<Examples, Error> {
        let rows = self.rows();
        let count = |what, expected, found: usize| {
            let found = found as u64;
            if expected == found { Ok(()) } else { Err(Error::Count { what, expected, found }) }
        };
        count("rows", self.manifest.rows, rows)?;
        count("positions", self.manifest.positions, self.out.starts.len())?;
        self.out.starts.push(rows);
        Ok(self.out)
    }
}
