use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::UInt64Array;
use arrow::array::{ArrayRef, Float32Array, Int64Array, RecordBatch, StringArray, UInt8Array};
use parquet::arrow::ArrowWriter;

use super::*;

/// Examples as batch writes them, to be bent by a test before they are written.
pub(crate) struct Fixture {
    pub(crate) manifest: Manifest,
    pub(crate) position: Vec<u64>,
    pub(crate) at_us: Vec<i64>,
    pub(crate) click: Vec<u8>,
    pub(crate) purchase: Vec<u8>,
    pub(crate) inputs: Vec<Vec<f32>>,
}

pub(crate) const DAY_US: i64 = 1_000_000;

impl Fixture {
    /// `positions` × 5 candidates; the target has the greatest `a + b·b`, where `a` and `b` come from a
    /// fixed sequence; the last column is noise.
    pub(crate) fn new(positions: u64) -> Self {
        let mut state = 7_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let mut out = Self {
            manifest: manifest(),
            position: Vec::new(),
            at_us: Vec::new(),
            click: Vec::new(),
            purchase: Vec::new(),
            inputs: vec![Vec::new(); 3],
        };
        for position in 0..positions {
            let rows: Vec<[f32; 3]> =
                (0..5).map(|_| [next(), 2.0 * next() - 1.0, next()]).collect();
            let worth = |row: &[f32; 3]| row[0] + 2.0 * row[1] * row[1];
            let best = rows.iter().map(worth).fold(f32::MIN, f32::max);
            for row in rows {
                out.position.push(position);
                out.at_us.push(DAY_US + position as i64);
                out.click.push(u8::from(worth(&row) == best));
                out.purchase.push(0);
                out.inputs.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
            }
        }
        out.manifest.positions = positions;
        out.manifest.spine_to_us = DAY_US + positions as i64;
        out.manifest.days[0].spine_to_us = DAY_US + positions as i64;
        out
    }

    /// Writes it, with the checksum and counts of what is written.
    pub(crate) fn write(&mut self, dir: &Path) {
        let column = |name: &str, array: ArrayRef| (name.to_owned(), array);
        let items = (0..self.position.len()).map(|at| Some(format!("i{at}")));
        let mut columns: Vec<(String, ArrayRef)> = vec![
            column("position", Arc::new(UInt64Array::from(self.position.clone()))),
            column("at_us", Arc::new(Int64Array::from(self.at_us.clone()))),
            column("item", Arc::new(items.collect::<StringArray>())),
            column("click", Arc::new(UInt8Array::from(self.click.clone()))),
            column("cart", Arc::new(UInt8Array::from(vec![0; self.click.len()]))),
            column("purchase", Arc::new(UInt8Array::from(self.purchase.clone()))),
        ];
        for (name, values) in ["a", "b", "noise"].iter().zip(&self.inputs) {
            columns.push(column(name, Arc::new(Float32Array::from(values.clone()))));
        }
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let path = dir.join(EXAMPLES);
        let mut writer =
            ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let (sha256, bytes) = digest::sha256_file(&path).unwrap();
        self.manifest.rows = self.position.len() as u64;
        self.manifest.files = vec![FileEntry { name: EXAMPLES.to_owned(), sha256, bytes }];
        self.write_manifest(dir);
    }

    pub(crate) fn write_manifest(&self, dir: &Path) {
        let json = serde_json::to_vec(&self.manifest).unwrap();
        std::fs::write(dir.join("manifest.json"), json).unwrap();
    }

    pub(crate) fn open(&mut self) -> Result<TrainingSet, Error> {
        let dir = tempfile::tempdir().unwrap();
        self.write(dir.path());
        TrainingSet::open(dir.path())
    }
}

fn manifest() -> Manifest {
    Manifest {
        version: VERSION,
        clock: Clock::EventTime,
        model: "ranker".into(),
        definition_hash: "d".repeat(64),
        inputs: ["a", "b", "noise"].map(str::to_owned).to_vec(),
        rows: 0,
        positions: 0,
        positions_without_target: 0,
        spine_from_us: DAY_US,
        spine_to_us: 0,
        days: vec![Day {
            day: "2014-04-02".into(),
            spine_from_us: DAY_US,
            spine_to_us: 0,
            spine_positions: BTreeMap::from([("clickstream/0".into(), 100)]),
            index_digest: "1dex".into(),
            index_cut_us: DAY_US,
            index_positions: BTreeMap::from([("clickstream/0".into(), 100)]),
        }],
        embedding: Some(Embedding { digest: "3mb".into(), trained_to_us: DAY_US - 1 }),
        files: Vec::new(),
    }
}

/// Opens a set that was bent, and gives the message it is refused with.
fn refused(bend: impl FnOnce(&mut Fixture)) -> (Error, String) {
    let mut fixture = Fixture::new(3);
    bend(&mut fixture);
    let error = fixture.open().unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[test]
fn reads_what_was_written() {
    let mut fixture = Fixture::new(3);
    fixture.purchase[4] = 1;
    let set = fixture.open().unwrap();
    assert_eq!(set.positions(), 3);
    assert_eq!(set.starts, [0, 5, 10, 15]);
    assert_eq!(set.at_us, [DAY_US, DAY_US + 1, DAY_US + 2]);
    assert_eq!(set.row(7), [fixture.inputs[0][7], fixture.inputs[1][7], fixture.inputs[2][7]]);
    assert_eq!(set.labels[4 * 3..5 * 3], [fixture.click[4], 0, 1]);
    assert_eq!(set.digest.len(), 64);
}

#[test]
fn refuses_an_index_cut_after_the_first_label() {
    let (error, text) = refused(|f| f.manifest.days[0].index_cut_us = DAY_US + 1);
    assert!(matches!(error, Error::IndexFromFuture { .. }), "{text}");
    for part in ["2014-04-02", "1dex", "1000001", "1000000", "train"] {
        assert!(text.contains(part), "{part} in: {text}");
    }
}

#[test]
fn refuses_an_index_that_read_beyond_the_spine() {
    let bend = |f: &mut Fixture| {
        f.manifest.days[0].index_positions.insert("clickstream/0".into(), 101);
    };
    let (error, text) = refused(bend);
    assert!(matches!(error, Error::IndexBeyondSpine { .. }), "{text}");
    for part in ["2014-04-02", "1dex", "clickstream/0", "101", "100", "train"] {
        assert!(text.contains(part), "{part} in: {text}");
    }
    // A partition that the spine never reached.
    let bend = |f: &mut Fixture| {
        f.manifest.days[0].index_positions.insert("clickstream/1".into(), 1);
    };
    assert!(matches!(refused(bend).0, Error::IndexBeyondSpine { spine_position: 0, .. }));
}

#[test]
fn refuses_an_embedding_that_knows_the_first_label() {
    let bend = |f: &mut Fixture| f.manifest.embedding.as_mut().unwrap().trained_to_us = DAY_US;
    let (error, text) = refused(bend);
    assert!(matches!(error, Error::EmbeddingFromFuture { .. }), "{text}");
    assert!(text.contains("3mb") && text.contains("1000000"), "{text}");
}

#[test]
fn refuses_rows_outside_the_days_that_were_judged() {
    let (error, text) = refused(|f| f.manifest.days[0].spine_to_us = DAY_US + 1);
    assert!(matches!(error, Error::OutsideDays { at_us, .. } if at_us == DAY_US + 2), "{text}");
    let (error, _) = refused(|f| f.at_us.iter_mut().for_each(|at| *at -= 1));
    assert!(matches!(error, Error::OutsideDays { at_us, .. } if at_us == DAY_US - 1));
}

#[test]
fn refuses_inputs_that_are_not_finite_and_columns_that_are_missing() {
    let (error, text) = refused(|f| f.inputs[1][6] = f32::NAN);
    assert!(matches!(error, Error::NotFinite { row: 6, .. }), "{text}");
    assert!(text.contains("`b`"), "{text}");
    let (error, text) = refused(|f| f.manifest.inputs.push("price".into()));
    assert!(matches!(error, Error::Column { .. }), "{text}");
    assert!(text.contains("`price`") && text.contains("none"), "{text}");
    let (error, text) = refused(|f| f.manifest.inputs[0] = "item".into());
    assert!(matches!(error, Error::Column { .. }) && text.contains("Utf8"), "{text}");
}

#[test]
fn refuses_rows_out_of_order_and_counts_that_differ() {
    let (error, text) = refused(|f| f.position[14] = 1);
    assert!(matches!(error, Error::Row { row: 14, .. }), "{text}");
    let (error, text) = refused(|f| f.at_us[4] += 1);
    assert!(matches!(error, Error::Row { row: 4, .. }), "{text}");
    let (error, text) = refused(|f| f.click[2] = 2);
    assert!(matches!(error, Error::Row { row: 2, .. }), "{text}");
    let (error, text) = refused(|f| f.manifest.positions = 4);
    assert!(matches!(error, Error::Count { expected: 4, found: 3, .. }), "{text}");
    let (error, text) = refused(|f| f.manifest.version = 2);
    assert!(matches!(error, Error::Manifest { .. }) && text.contains("version 2"), "{text}");
}

#[test]
fn refuses_damaged_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::new(3);
    fixture.write(dir.path());
    let path = dir.path().join(EXAMPLES);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = TrainingSet::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(TrainingSet::open(dir.path()), Err(Error::Io { .. })));
    std::fs::write(dir.path().join("manifest.json"), "{\"version\": 1,\n \"clock\": 3}").unwrap();
    let error = TrainingSet::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(matches!(TrainingSet::open(&dir.path().join("none")), Err(Error::Io { .. })));
}
