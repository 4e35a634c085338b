//! Parity: what was served, computed again from the log and compared byte for byte.
//!
//! One as-served back-fill per lane over the keys that responses touched: O(log slice + responses),
//! not their product. Each stage is computed from what the record says of the stage before it, so one
//! wrong bit is reported once, where it is: feature values from the log at the recorded heads, source
//! hits from the recorded features, inputs from features and hits, scores from inputs.
//!
//! What cannot be compared (a read that timed out, an index or a bundle that is gone, a log that was
//! created again) is counted under its reason, never passed over in silence. What is there but damaged is
//! an error: it could hide a difference.

mod items;
mod list;
mod pipeline;
mod read;
pub(crate) mod replay;
mod report;
mod rising;
mod visitors;

use std::sync::Arc;

use candidates::index::Indexes;
use candidates::joined_row::{ITEM_ENTITY, Joiner};
use definitions::Lane;
use definitions::model::CompiledModel;
use fold::Embedding;
use record::LaneId;

use crate::plan::Engine;
use crate::{Error, Records, Watch};

pub(crate) use read::{Response, responses};
pub use report::{Mismatch, Report};

/// A model as parity needs it; whoever knows models gives it.
pub trait Bundle: Send + Sync {
    /// The compiled inputs.
    fn model(&self) -> &CompiledModel;
    /// What joins the rows that inputs are evaluated over.
    fn joiner(&self) -> &Joiner;
    /// The item vectors, if the bundle has them.
    fn embedding(&self) -> Option<Arc<dyn Embedding>>;
    /// The visitor tower.
    fn query(&self, interest: &[f32]) -> Vec<f32>;
    /// One score per row of row-major inputs.
    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32>;
}

/// What a digest names, or the reason under which that is counted which needs it: it is gone, say.
pub type Found<T> = Result<T, &'static str>;

/// Finds something by its digest, as the record writes it. What is there but damaged is an error.
pub type Find<T> = dyn Fn(&str) -> Result<Found<T>, Error> + Send + Sync;

/// What to compare, and with what.
pub struct Job {
    /// Where visitors' events and responses are.
    pub records: Records,
    /// Where the events of the item table's lanes are: the same, but for an evaluation, whose table is
    /// made of the archive.
    pub item_records: Records,
    /// Topic of the responses.
    pub served_topic: String,
    /// Lanes of the definitions.
    pub lanes: Vec<Arc<Lane>>,
    /// Hash of the settings that shape answers; what was served under others is not searched again.
    pub configuration: String,
    /// Hits that each source gave at most under those settings.
    pub per_source: usize,
    /// Candidate indexes by digest.
    pub indexes: Box<Find<Arc<Indexes>>>,
    /// Bundles by digest.
    pub bundle: Box<Find<Arc<dyn Bundle>>>,
    /// Is told how far it is.
    pub watch: Arc<Watch>,
}

/// Responses of one pass over the log: what [`run`] holds in memory.
const PASS_MAX: usize = 20_000;

/// Compares every response of the topic.
///
/// # Errors
/// When the log cannot be read, indexes or a bundle are damaged, or a plan fails; a difference is no
/// error but a line of the report.
pub async fn run(engine: &Engine, job: &Job) -> Result<Report, Error> {
    run_in_passes(engine, job, PASS_MAX).await
}

/// [`run`] with about `responses_max` responses in each pass over the log.
///
/// # Errors
/// As [`run`].
pub async fn run_in_passes(
    engine: &Engine,
    job: &Job,
    responses_max: usize,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut reading = read::Responses::open(job).await?;
    loop {
        let responses = reading.next(responses_max, &mut report).await?;
        if responses.is_empty() {
            return Ok(report);
        }
        report.responses += responses.len() as u64;
        pass(engine, job, &responses, &mut report).await?;
    }
}

async fn pass(
    engine: &Engine,
    job: &Job,
    responses: &[Response],
    report: &mut Report,
) -> Result<(), Error> {
    let (items, visitors): (Vec<_>, Vec<_>) =
        job.lanes.iter().partition(|lane| lane.entity == ITEM_ENTITY);
    for lane in visitors {
        visitors::compare(engine, job, lane, responses, report).await?;
    }
    for lane in items {
        items::compare(engine, job, lane, responses, report).await?;
    }
    pipeline::compare(job, responses, report)?;
    let known = |lane: &[u8]| job.lanes.iter().any(|known| known.id.0 == *lane);
    for response in responses {
        let served = &response.served;
        let reads = served.visitor_reads.iter().chain(&served.item_table_reads);
        if reads.into_iter().any(|read| !known(&read.lane)) {
            report.skip("lane_of_other_definitions");
        }
    }
    Ok(())
}

/// The recorded lane, if it is `lane`.
fn is_lane(read: &wire::v1::LaneRead, lane: LaneId) -> bool {
    read.lane == lane.0
}
