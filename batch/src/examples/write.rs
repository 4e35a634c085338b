use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Int64Array, RecordBatch, StringBuilder, UInt8Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use definitions::ModelInput;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use record::EventTime;

use super::manifest::FileEntry;
use crate::{Error, files};

const NAME: &str = "examples.parquet";
/// Rows of a row group.
const ROW_GROUP: usize = 131_072;

/// A position's rows.
pub(super) struct Example {
    pub(super) at: EventTime,
    pub(super) items: Vec<Arc<str>>,
    /// Row of the item that came next.
    pub(super) target: usize,
    /// Kind of the event that it came with.
    pub(super) kind: Arc<str>,
    /// Row-major.
    pub(super) inputs: Vec<f32>,
}

/// Writes `examples.parquet`, one row group at a time.
pub(super) struct Writer {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    sync: File,
    next_position: u64,
    rows: Rows,
}

#[derive(Default)]
struct Rows {
    positions: Vec<u64>,
    at_us: Vec<i64>,
    items: StringBuilder,
    labels: [Vec<u8>; 3],
    inputs: Vec<Vec<f32>>,
}

impl Writer {
    pub(super) fn create(dir: &Path, inputs: &[ModelInput]) -> Result<Self, Error> {
        let mut fields = vec![
            Field::new("position", DataType::UInt64, false),
            Field::new("at_us", DataType::Int64, false),
            Field::new("item", DataType::Utf8, false),
            Field::new("click", DataType::UInt8, false),
            Field::new("cart", DataType::UInt8, false),
            Field::new("purchase", DataType::UInt8, false),
        ];
        fields.extend(inputs.iter().map(|input| Field::new(&input.name, DataType::Float32, false)));
        let schema = Arc::new(Schema::new(fields));
        let path = dir.join(NAME);
        let file = File::create(&path).map_err(Error::io(&path))?;
        let sync = file.try_clone().map_err(Error::io(&path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by("twofold".to_owned())
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties));
        let writer = writer.map_err(failed(&path))?;
        let rows = Rows { inputs: vec![Vec::new(); inputs.len()], ..Rows::default() };
        Ok(Self { path, schema, writer, sync, next_position: 0, rows })
    }

    pub(super) fn push(&mut self, example: &Example) -> Result<(), Error> {
        let rows = &mut self.rows;
        let width = rows.inputs.len();
        for (row, item) in example.items.iter().enumerate() {
            rows.positions.push(self.next_position);
            rows.at_us.push(example.at.0);
            rows.items.append_value(item);
            let is_target = row == example.target;
            let labels = [true, &*example.kind == "cart", &*example.kind == "purchase"];
            for (label, is_kind) in rows.labels.iter_mut().zip(labels) {
                label.push(u8::from(is_target && is_kind));
            }
            let inputs = &example.inputs[row * width..][..width];
            rows.inputs.iter_mut().zip(inputs).for_each(|(column, input)| column.push(*input));
        }
        self.next_position += 1;
        if self.rows.positions.len() >= ROW_GROUP { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let width = self.rows.inputs.len();
        let fresh = Rows { inputs: vec![Vec::new(); width], ..Rows::default() };
        let mut rows = std::mem::replace(&mut self.rows, fresh);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(rows.positions)),
            Arc::new(Int64Array::from(rows.at_us)),
            Arc::new(rows.items.finish()),
        ];
        for label in rows.labels {
            columns.push(Arc::new(UInt8Array::from(label)));
        }
        for input in rows.inputs {
            columns.push(Arc::new(Float32Array::from(input)));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.writer.write(&batch).map_err(failed(&self.path))?;
        self.writer.flush().map_err(failed(&self.path))
    }

    pub(super) fn close(mut self) -> Result<FileEntry, Error> {
        self.flush()?;
        self.writer.close().map_err(failed(&self.path))?;
        self.sync.sync_all().map_err(Error::io(&self.path))?;
        let bytes = files::read(&self.path)?;
        let (sha256, bytes) = (files::sha256(&bytes), bytes.len() as u64);
        Ok(FileEntry { name: NAME.to_owned(), sha256, bytes })
    }
}

fn failed(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Error {
    let path = path.to_owned();
    move |error| Error::Io { path: path.clone(), source: std::io::Error::other(error) }
}
