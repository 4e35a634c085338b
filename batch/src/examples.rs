//! Training sets in event time: for each position of the spine the candidates that the day before
//! knew, the features that were true at that moment, and which candidate came next.
//!
//! Everything that the service does for a request happens here with the service's own code: the sources
//! and their fusion, the joined row, the model's expressions. Positions are worked on in chunks, so
//! memory is bounded by [`Settings::chunk`] × [`Settings::rows_max`].

pub mod as_served;
mod chunk;
mod manifest;
mod spine;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candidates::joined_row::Joiner;
use definitions::Definitions;
use fold::Embedding;
use record::EventTime;

use crate::history::History;
use crate::indexes::Store;
use crate::plan::Engine;
use crate::{Error, Progress, Records, Watch, files};

pub use manifest::{Day, EmbeddingEntry, FileEntry, Manifest, Sampling};
pub use spine::Position;

/// What a training set is made of, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the model definition.
    pub model: String,
    /// Positions before this are left out; the retriever is fitted on them. Must lie after the
    /// embedding's `trained_to`.
    pub spine_from: EventTime,
    /// Positions at most; more are sampled by a hash of their place in the log.
    pub positions_max: usize,
    /// Hits of each source at most; the service's own setting.
    pub per_source: usize,
    /// Candidates of a position at most; the service's own setting.
    pub pool_max: usize,
    /// Rows of a position at most, the first ones in the order of fusion; a position whose target lies
    /// behind them counts as one without a target.
    pub rows_max: usize,
    /// Positions that are worked on at once.
    pub chunk: usize,
    /// How long before a day begins its indexes were cut, in microseconds: as long as it takes until
    /// indexes are built and served. From 0 up.
    pub publish_lag_us: i64,
}

/// A visitor tower.
pub type Tower = dyn Fn(&[f32]) -> Vec<f32> + Send + Sync;

/// Item vectors and the tower that queries them.
#[derive(Clone)]
pub struct Towers {
    /// Item vectors.
    pub embedding: Arc<dyn Embedding>,
    /// From an interest vector to what item vectors are compared with.
    pub query: Arc<Tower>,
    /// Time of the last event that they know.
    pub trained_to: EventTime,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The training set's directory.
    pub dir: PathBuf,
    /// SHA-256 of its manifest, lower-case hex.
    pub digest: String,
    /// Rows.
    pub rows: u64,
    /// Positions that have rows.
    pub positions: u64,
    /// Positions whose next item was not among their candidates: they have no rows.
    pub positions_without_target: u64,
    /// Positions that the sample left out.
    pub positions_left_out: u64,
    /// Input values that an expression failed on and that count as 0.
    pub inputs_failed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "ranker".to_owned(),
            spine_from: EventTime::MIN,
            positions_max: 60_000,
            per_source: 100,
            pool_max: 200,
            rows_max: 200,
            chunk: 8192,
            publish_lag_us: 0,
        }
    }
}

/// What every chunk needs.
pub(crate) struct Job<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) records: &'a Records,
    pub(crate) history: &'a History,
    pub(crate) settings: &'a Settings,
    pub(crate) towers: Option<&'a Towers>,
    pub(crate) joiner: Joiner,
    pub(crate) model: definitions::model::CompiledModel,
}

/// Assembles a training set under `root` (`<digest>/manifest.json` and `examples.parquet`) and publishes
/// the indexes that it used in `store`. The same input gives the same bytes.
///
/// # Errors
/// When there is no position to learn from, or records, plan or disk fail.
#[allow(clippy::too_many_arguments)]
pub async fn assemble(
    engine: &Engine,
    records: &Records,
    definitions: &Definitions,
    history: &History,
    store: &Store,
    root: &Path,
    towers: Option<&Towers>,
    settings: &Settings,
    watch: &Watch,
) -> Result<Report, Error> {
    let model = definitions.compile_model(&settings.model)?;
    let joiner = Joiner::new(definitions, &model, &definitions.lanes())?;
    let (positions, left_out) = spine::positions(history, settings);
    let first = positions.first().ok_or_else(|| Error::Missing {
        what: "no visitor's next item lies in the spine".to_owned(),
        remedy: "import more days, or begin the spine earlier",
    })?;
    if let Some(towers) = towers {
        refuse_future(towers, first.event.at)?;
    }
    let total = positions.len() as u64;
    let job = Job { engine, records, history, settings, towers, joiner, model };
    let aside = start(root, &settings.model)?;
    let mut writer = write::Writer::create(&aside, &job.model.model.inputs)?;
    let mut tally = manifest::Tally::default();
    let mut done = 0;
    for day in positions.chunk_by(|a, b| a.day() == b.day()) {
        let cut = day[0].day().saturating_sub(settings.publish_lag_us);
        let indexes = crate::indexes::at(history, EventTime(cut));
        store.publish(&indexes)?;
        let vectors =
            towers.map(|towers| candidates::Vectors::align(&indexes.catalogue, &*towers.embedding));
        for positions in day.chunks(settings.chunk) {
            chunk::write(&job, &indexes, vectors.as_ref(), positions, &mut writer, &mut tally)
                .await?;
            done += positions.len() as u64;
            watch(Progress { step: "examples", done, total: Some(total) });
        }
        tally.day(history, day, &indexes);
    }
    let file = writer.close()?;
    let made = manifest::Made { clock: "event_time", model: &job.model.model, towers, left_out };
    let manifest = tally.manifest(&made, Some(settings), file);
    finish(root, &aside, manifest)
}

/// What knows the first label, or what comes after it, must not be learned from.
fn refuse_future(towers: &Towers, first: EventTime) -> Result<(), Error> {
    if towers.trained_to < first {
        return Ok(());
    }
    Err(Error::Missing {
        what: format!(
            "the embedding knows events up to {} µs, the spine begins at {} µs",
            towers.trained_to.0, first.0
        ),
        remedy: "fit the retriever on earlier days, or begin the spine strictly after",
    })
}

/// An empty directory to write a training set in.
fn start(root: &Path, model: &str) -> Result<PathBuf, Error> {
    files::create_dir(root)?;
    let aside = root.join(format!(".{model}.tmp"));
    if aside.exists() {
        std::fs::remove_dir_all(&aside).map_err(Error::io(&aside))?;
    }
    files::create_dir(&aside)?;
    Ok(aside)
}

/// Writes the manifest, last, and gives the directory its name.
fn finish(root: &Path, aside: &Path, manifest: Manifest) -> Result<Report, Error> {
    let json = serde_json::to_vec_pretty(&manifest).expect("plain data");
    files::write(&aside.join("manifest.json"), &json)?;
    let digest = files::sha256(&json);
    let dir = root.join(&digest);
    if dir.exists() {
        std::fs::remove_dir_all(aside).map_err(Error::io(aside))?;
    } else {
        files::publish(aside, &dir)?;
    }
    Ok(Report {
        dir,
        digest,
        rows: manifest.rows,
        positions: manifest.positions,
        positions_without_target: manifest.positions_without_target,
        positions_left_out: manifest.sampling.positions_left_out,
        inputs_failed: manifest.sampling.inputs_failed,
    })
}
