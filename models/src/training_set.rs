//! A training set: a directory with `manifest.json` and `examples.parquet`, checked before it is used.
//!
//! Rows of a position are contiguous, positions ascend. [`TrainingSet::open`] verifies checksums and
//! refuses what knows its own future: the one mistake that no later measurement shows.

mod leakage;
mod manifest;
mod read;

use std::path::{Path, PathBuf};

pub use manifest::{Clock, Day, Embedding, FileEntry, Manifest, VERSION};

use crate::digest;

/// The one data file.
pub const EXAMPLES: &str = "examples.parquet";
/// What an outcome is called, in the order of [`TrainingSet::labels`].
pub const TASKS: [&str; 3] = ["click", "cart", "purchase"];
/// The most input values that a training holds in memory: 4 GiB of `f32`.
pub const VALUES_MAX: usize = 1 << 30;

/// Why a training set was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The manifest is not what this build reads.
    #[error("{path}: {what}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong, with line and column where JSON gives them.
        what: String,
    },
    /// Bytes differ from the manifest.
    #[error(
        "{path} has SHA-256 {found}, its manifest says {expected}; write the training set again with \
         `twofold train`"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Of the bytes.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// An index holds sessions that ended after the day's first label.
    #[error(
        "day {day}: index {digest} was cut at {index_cut_us} µs, after the day's first position at \
         {spine_from_us} µs, so it may hold the labels themselves; build it from sessions closed \
         before the day (`twofold train`)"
    )]
    IndexFromFuture {
        /// The day.
        day: String,
        /// The index.
        digest: String,
        /// The index's cut.
        index_cut_us: i64,
        /// The day's first position.
        spine_from_us: i64,
    },
    /// An index has read log records that the day's positions have not reached.
    #[error(
        "day {day}: index {digest} has read {partition} to offset {index_position}, the day's positions \
         reach {spine_position}; build it from what the day before knew (`twofold train`)"
    )]
    IndexBeyondSpine {
        /// The day.
        day: String,
        /// The index.
        digest: String,
        /// `topic/partition`.
        partition: String,
        /// First offset that the index had not read.
        index_position: u64,
        /// First offset that the day has not reached.
        spine_position: u64,
    },
    /// Item vectors know events at or after the first label.
    #[error(
        "embedding {digest} was trained to {trained_to_us} µs, the spine begins at {spine_from_us} µs; \
         fit the retriever on earlier days, or begin the spine strictly after"
    )]
    EmbeddingFromFuture {
        /// The embedding.
        digest: String,
        /// Its last event.
        trained_to_us: i64,
        /// The first position.
        spine_from_us: i64,
    },
    /// A position lies in no day of the manifest, so its index was never judged.
    #[error(
        "a position at {at_us} µs lies in no day of the manifest (the spine begins at {spine_from_us} \
         µs); write the training set again with `twofold train`"
    )]
    OutsideDays {
        /// The position.
        at_us: i64,
        /// The first position according to the manifest.
        spine_from_us: i64,
    },
    /// Not Parquet, or torn.
    #[error("{path} is not a whole Parquet file: {what}")]
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
        column: String,
        /// Its type.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// An input that is not a finite number.
    #[error("row {row}: input `{input}` is {value}; inputs must be finite, mend its expression")]
    NotFinite {
        /// From 0.
        row: usize,
        /// The input.
        input: String,
        /// What is there.
        value: f32,
    },
    /// Rows break the format's promise.
    #[error("row {row}: {what}")]
    Row {
        /// From 0.
        row: usize,
        /// What is wrong.
        what: String,
    },
    /// Counts differ from the manifest.
    #[error("the manifest says {expected} {what}, the file has {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// In the manifest.
        expected: u64,
        /// In the file.
        found: u64,
    },
    /// More than [`VALUES_MAX`].
    #[error(
        "{rows} rows × {inputs} inputs are more than {VALUES_MAX} values; sample fewer positions"
    )]
    TooLarge {
        /// Rows.
        rows: u64,
        /// Inputs.
        inputs: usize,
    },
}

/// A training set in memory, checked.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of `manifest.json`, which holds the checksums of the rest: the set's identity.
    pub digest: String,
    /// Row-major `rows × inputs`.
    pub inputs: Vec<f32>,
    /// Row-major `rows × 3`, 0 or 1, in the order of [`TASKS`].
    pub labels: Vec<u8>,
    /// First row of each position, and one past the last row.
    pub starts: Vec<usize>,
    /// Time of each position, in microseconds since the epoch.
    pub at_us: Vec<i64>,
}

impl TrainingSet {
    /// Reads and checks.
    ///
    /// # Errors
    /// When a checksum, a count or a column differs from the manifest, an input is not finite, or an
    /// index or embedding knows what the spine must not.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("manifest.json");
        let bytes =
            crate::files::read(&path).map_err(|e| Error::Io { path: path.clone(), source: e })?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|e| Error::Manifest { path: path.clone(), what: e.to_string() })?;
        check_manifest(&path, &manifest)?;
        leakage::refuse(&manifest)?;
        for entry in &manifest.files {
            let path = dir.join(&entry.name);
            let sum = digest::sha256_file(&path);
            let (found, _) = sum.map_err(|e| Error::Io { path: path.clone(), source: e })?;
            if found != entry.sha256 {
                return Err(Error::Checksum { path, found, expected: entry.sha256.clone() });
            }
        }
        let rows = read::examples(&dir.join(EXAMPLES), &manifest)?;
        leakage::covers(&manifest, &rows.at_us)?;
        Ok(Self {
            manifest,
            digest: digest::sha256(&bytes),
            inputs: rows.inputs,
            labels: rows.labels,
            starts: rows.starts,
            at_us: rows.at_us,
        })
    }

    /// Number of positions.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.at_us.len()
    }

    /// Rows of a position.
    #[must_use]
    pub fn rows_of(&self, position: usize) -> std::ops::Range<usize> {
        self.starts[position]..self.starts[position + 1]
    }

    /// Inputs of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.manifest.inputs.len();
        &self.inputs[row * width..(row + 1) * width]
    }
}

fn check_manifest(path: &Path, manifest: &Manifest) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::Manifest { path: path.to_owned(), what });
    if manifest.version != VERSION {
        return wrong(format!("version {}, this build reads {VERSION}", manifest.version));
    }
    if manifest.inputs.is_empty() {
        return wrong("no inputs".into());
    }
    if !manifest.files.iter().any(|f| f.name == EXAMPLES) {
        return wrong(format!("`files` does not name {EXAMPLES}"));
    }
    if let Some(file) = manifest.files.iter().find(|f| f.name.contains(['/', '\\'])) {
        return wrong(format!("file `{}` is not in the directory", file.name));
    }
    let values = (manifest.rows as usize).saturating_mul(manifest.inputs.len());
    if values > VALUES_MAX {
        return Err(Error::TooLarge { rows: manifest.rows, inputs: manifest.inputs.len() });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
