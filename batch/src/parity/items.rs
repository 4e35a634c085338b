//! The items' features: at each version of the item table that a response saw, in one pass.

use std::sync::Arc;

use definitions::Lane;
use hashbrown::HashMap;
use record::{EventTime, Offset};

use super::read::Response;
use super::replay::versions;
use super::visitors::{covered, positions, watermark};
use super::{Job, Report, is_lane};
use crate::plan::{Engine, Order, Scan, SpineRow, When};
use crate::{Error, Extent};

/// A version of the table as one lane sees it: a position per partition, and the read time.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) positions: Vec<Offset>,
    pub(super) at: EventTime,
}

pub(super) async fn compare(
    engine: &Engine,
    job: &Job,
    lane: &Arc<Lane>,
    responses: &[Response],
    report: &mut Report,
) -> Result<(), Error> {
    let extent = job.item_records.extent_or_nothing(&lane.source.topic).await?;
    let seen: Vec<Option<Seen>> =
        responses.iter().map(|response| seen(response, lane, &extent, report)).collect();
    let (versions, places) = versions(&seen);
    let mut rows: HashMap<(Arc<str>, usize, EventTime), usize> = HashMap::new();
    let mut spine = Vec::new();
    let mut wanted = Vec::new();
    for (response, seen) in responses.iter().zip(&seen) {
        let Some(seen) = seen else { continue };
        let Some(version) = places.get(&seen.positions) else {
            report.skip("item_table_went_back");
            continue;
        };
        for candidate in &response.served.candidates {
            let key = (Arc::<str>::from(candidate.item_id.as_str()), *version, seen.at);
            let row = *rows.entry(key).or_insert_with_key(|(key, version, at)| {
                spine.push(SpineRow {
                    key: Arc::clone(key),
                    when: When::Version(*version),
                    at: *at,
                    embedding: None,
                });
                spine.len() - 1
            });
            wanted.push((response, candidate, row));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let reads = || {
        let of_response = |response: &'_ Response| response.served.item_table_reads.clone();
        responses.iter().flat_map(of_response).filter(|read| is_lane(read, lane.id))
    };
    let reads_all: Vec<_> = reads().collect();
    let scan = Scan {
        records: job.item_records.clone(),
        extent,
        order: Order::Versions(Arc::new(versions)),
        keys: Some(Arc::new(spine.iter().map(|row| Arc::clone(&row.key)).collect())),
        watermarks_at: Arc::new(positions(reads_all.iter())),
        watch: Arc::clone(&job.watch),
    };
    let (values, found) = engine.values(lane, scan, &spine, Vec::new()).await?;
    for (response, candidate, row) in wanted {
        let (greatest, replayed) = &values[row];
        let place = place(job, lane, response, candidate.item_features.len());
        match candidate.item_features.get(place) {
            Some(served) => {
                report.row(
                    response,
                    lane,
                    &format!(" of item {}", candidate.item_id),
                    served,
                    replayed,
                );
            }
            // The table did not know the item, so no lane of it may have seen it either.
            None => {
                report.values += 1;
                if *greatest > EventTime::MIN {
                    let what = format!("whether the table knew item {}", candidate.item_id);
                    report.differs(response, what, "no", "yes");
                }
            }
        }
    }
    for response in responses {
        for read in response.served.item_table_reads.iter().filter(|read| is_lane(read, lane.id)) {
            watermark(response, lane, read, &found.watermarks, report);
        }
    }
    Ok(())
}

/// The version of the table that a response saw, as this lane sees it.
pub(super) fn seen(
    response: &Response,
    lane: &Lane,
    extent: &Extent,
    report: &mut Report,
) -> Option<Seen> {
    let mut seen = Seen {
        positions: vec![Offset(0); extent.ends.len()],
        at: EventTime(response.served.item_table_as_of_us),
    };
    let mut found = false;
    for read in response.served.item_table_reads.iter().filter(|read| is_lane(read, lane.id)) {
        let (partition, next) = covered(read, extent, report)?;
        seen.positions[partition.0 as usize] = next;
        seen.at = seen.at.max(EventTime(read.watermark_us));
        found = true;
    }
    if !found {
        report.skip("no_item_table_read");
    }
    found.then_some(seen)
}

/// The place of a lane's row among the `rows` of a candidate: the lane's among those that the response has read,
/// which may have been of other definitions.
fn place(job: &Job, lane: &Lane, response: &Response, rows: usize) -> usize {
    let mut read: Vec<&[u8]> = Vec::new();
    for lane in response.served.item_table_reads.iter().map(|read| read.lane.as_slice()) {
        if !read.contains(&lane) {
            read.push(lane);
        }
    }
    match read.iter().position(|read| *read == lane.id.0) {
        Some(place) if read.len() == rows => place,
        // Of an item that the table did not know there is no row, and a lane without a partition names none.
        _ => item_lane(job, lane),
    }
}

/// The lane's place among the item lanes of these definitions.
fn item_lane(job: &Job, lane: &Lane) -> usize {
    let mut items = job.lanes.iter().filter(|other| other.entity == lane.entity);
    items.position(|other| other.id == lane.id).expect("the lane is one of the job's")
}
