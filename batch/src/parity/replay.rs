//! Features of responses as the log gives them, for those who learn from responses.

use std::sync::Arc;

use definitions::Lane;
use hashbrown::HashMap;
use record::{EventTime, Offset};

use super::items::{Seen, seen};
use super::read::Response;
use super::rising::rising;
use super::visitors::{EMBEDDING_GONE, Embeddings, covered};
use super::{Job, Report, is_lane};
use crate::plan::{Engine, Order, Scan, SpineRow, Values, When};
use crate::{Error, Extent, Records};

/// A lane's rows for each response, in the order of its candidates where the lane is of items.
pub(crate) struct Replayed {
    values: Values,
    /// Rows of `values` by response; `None` where it cannot be replayed.
    rows: Vec<Option<Vec<u32>>>,
}

impl Replayed {
    pub(crate) fn rows(
        &self,
        response: usize,
    ) -> Option<impl ExactSizeIterator<Item = &[u8]> + '_> {
        let rows = self.rows[response].as_ref()?;
        Some(rows.iter().map(|row| &*self.values[*row as usize].1))
    }
}

/// The visitor's row of a lane at each response's recorded head.
pub(crate) async fn visitors(
    engine: &Engine,
    job: &Job,
    lane: &Arc<Lane>,
    responses: &[Response],
    report: &mut Report,
) -> Result<Replayed, Error> {
    let extent = job.records.extent_or_nothing(&lane.source.topic).await?;
    let mut embeddings = Embeddings::default();
    let (mut spine, mut rows) = (Vec::new(), Vec::new());
    for response in responses {
        let read = response.served.visitor_reads.iter().find(|read| is_lane(read, lane.id));
        if read.is_none() {
            report.skip("lane_of_other_definitions");
        }
        let next = read.and_then(|read| Some((read, covered(read, &extent, report)?.1)));
        let embedding = embeddings.of(job, response)?;
        if embedding.is_none() {
            report.skip(EMBEDDING_GONE);
        }
        let (Some((read, next)), Some(embedding)) = (next, embedding) else {
            rows.push(None);
            continue;
        };
        rows.push(Some(vec![spine.len() as u32]));
        spine.push(SpineRow {
            key: response.visitor().into(),
            when: When::Position(next),
            at: EventTime(response.as_of_us().max(read.watermark_us)),
            embedding,
        });
    }
    let scan = scan(job, &job.records, extent, Order::Position, &spine);
    let (values, _) = engine.values(lane, scan, &spine, embeddings.all).await?;
    Ok(Replayed { values, rows })
}

/// The candidates' rows of a lane at the version of the item table that each response saw.
pub(crate) async fn items(
    engine: &Engine,
    job: &Job,
    lane: &Arc<Lane>,
    responses: &[Response],
    report: &mut Report,
) -> Result<Replayed, Error> {
    let extent = job.item_records.extent_or_nothing(&lane.source.topic).await?;
    let seen: Vec<Option<Seen>> =
        responses.iter().map(|response| seen(response, lane, &extent, report)).collect();
    let (versions, places) = versions(&seen);
    let mut known: HashMap<(Arc<str>, usize, EventTime), u32> = HashMap::new();
    let (mut spine, mut rows) = (Vec::new(), Vec::new());
    for (response, seen) in responses.iter().zip(&seen) {
        let version = seen.as_ref().and_then(|s| Some((s, *places.get(&s.positions)?)));
        let Some((seen, version)) = version else {
            if seen.is_some() {
                report.skip("item_table_went_back");
            } else if !response.served.item_table_reads.iter().any(|read| is_lane(read, lane.id)) {
                report.skip("lane_of_other_definitions");
            }
            rows.push(None);
            continue;
        };
        let row = |candidate: &wire::v1::ServedCandidate| {
            let key = (Arc::<str>::from(candidate.item_id.as_str()), version, seen.at);
            *known.entry(key).or_insert_with_key(|(key, version, at)| {
                let (key, when) = (Arc::clone(key), When::Version(*version));
                spine.push(SpineRow { key, when, at: *at, embedding: None });
                spine.len() as u32 - 1
            })
        };
        rows.push(Some(response.served.candidates.iter().map(row).collect()));
    }
    let order = Order::Versions(Arc::new(versions));
    let scan = scan(job, &job.item_records, extent, order, &spine);
    let (values, _) = engine.values(lane, scan, &spine, Vec::new()).await?;
    Ok(Replayed { values, rows })
}

/// Distinct versions that rise in every partition, and their places. One table's heads only move
/// forward, so one version covers what any smaller one does; what does not rise with most of the others
/// (another table's, say) is left out, and only that.
pub(super) fn versions(seen: &[Option<Seen>]) -> (Vec<Vec<Offset>>, HashMap<Vec<Offset>, usize>) {
    let versions = rising(seen.iter().flatten().map(|seen| seen.positions.clone()).collect());
    let places = versions.iter().cloned().zip(0..).collect();
    (versions, places)
}

/// Reads `records` for the rows of `spine`.
fn scan(job: &Job, records: &Records, extent: Extent, order: Order, spine: &[SpineRow]) -> Scan {
    Scan {
        records: records.clone(),
        extent,
        order,
        keys: Some(Arc::new(spine.iter().map(|row| Arc::clone(&row.key)).collect())),
        watermarks_at: Arc::default(),
        watch: Arc::clone(&job.watch),
    }
}
