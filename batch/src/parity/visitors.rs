//! The visitor's features: at each response's head, in one pass over the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use definitions::Lane;
use fold::Embedding;
use hashbrown::{HashMap, HashSet};
use record::{EventTime, Offset, Partition};
use wire::v1;
use wire::v1::lane_read::Outcome;

use super::read::Response;
use super::{Job, Report, is_lane};
use crate::files::hex;
use crate::plan::{Engine, Order, Scan, SpineRow, When};
use crate::{Error, Extent};

/// A row whose interest vector cannot be computed again. A response may have several such rows; that its
/// bundle is gone is counted once, where its list is compared.
pub(super) const EMBEDDING_GONE: &str = "embedding_gone";

/// A row to compare: the response, its read, and the row's place in the spine.
struct Wanted<'a> {
    response: &'a Response,
    read: &'a v1::LaneRead,
    served: &'a [u8],
}

/// Embeddings that responses were computed with, in the order that spine rows name them.
#[derive(Default)]
pub(super) struct Embeddings {
    pub(super) all: Vec<Arc<dyn Embedding>>,
    /// By digest.
    places: HashMap<String, u16>,
    /// (embedding, bundle) that are gone or do not belong together. Another response's bundle may hold
    /// the same vectors, so an embedding alone is never given up.
    gone: HashSet<(String, String)>,
}

pub(super) async fn compare(
    engine: &Engine,
    job: &Job,
    lane: &Arc<Lane>,
    responses: &[Response],
    report: &mut Report,
) -> Result<(), Error> {
    let extent = job.records.extent_or_nothing(&lane.source.topic).await?;
    let mut embeddings = Embeddings::default();
    let (mut wanted, mut spine) = (Vec::new(), Vec::new());
    for response in responses {
        let reads = response.served.visitor_reads.iter().enumerate();
        for (at, read) in reads.filter(|(_, read)| is_lane(read, lane.id)) {
            let Some((partition, next)) = covered(read, &extent, report) else { continue };
            debug_assert!(partition.0 < extent.ends.len() as u32);
            let Some(embedding) = embeddings.of(job, response)? else {
                report.skip(EMBEDDING_GONE);
                continue;
            };
            spine.push(SpineRow {
                key: response.visitor().into(),
                when: When::Position(next),
                at: EventTime(response.as_of_us().max(read.watermark_us)),
                embedding,
            });
            let served = response.served.visitor_features.get(at).map_or(&[][..], Vec::as_slice);
            wanted.push(Wanted { response, read, served });
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let keys: HashSet<Arc<str>> = spine.iter().map(|row| Arc::clone(&row.key)).collect();
    let scan = Scan {
        records: job.records.clone(),
        extent,
        order: Order::Position,
        keys: Some(Arc::new(keys)),
        watermarks_at: Arc::new(positions(wanted.iter().map(|wanted| wanted.read))),
        watch: Arc::clone(&job.watch),
    };
    let (values, found) = engine.values(lane, scan, &spine, embeddings.all).await?;
    for (wanted, (greatest, replayed)) in wanted.into_iter().zip(values) {
        let Wanted { response, read, served } = wanted;
        report.row(response, lane, "", served, &replayed);
        watermark(response, lane, read, &found.watermarks, report);
        let seen = greatest > EventTime::MIN;
        let may_sweep = lane.may_sweep(greatest, EventTime(read.watermark_us));
        if !is_possible(read.outcome(), seen, may_sweep) {
            let knew = read.outcome() != Outcome::Absent;
            let what = format!("whether lane {} knew the visitor", lane.id);
            report.differs(response, what, knew.to_string(), seen.to_string());
        }
    }
    Ok(())
}

/// Whether a read can have ended so: of a visitor whom the log has seen or not, and whose state may have been
/// swept by then or not.
fn is_possible(outcome: Outcome, seen: bool, may_sweep: bool) -> bool {
    match outcome {
        Outcome::Absent => !seen || may_sweep,
        Outcome::Stale => true,
        Outcome::Read | Outcome::Timeout | Outcome::Unspecified => seen,
    }
}

/// Partition and position of a read that can be replayed; counts one that cannot.
pub(super) fn covered(
    read: &v1::LaneRead,
    extent: &Extent,
    report: &mut Report,
) -> Option<(Partition, Offset)> {
    match read.outcome() {
        Outcome::Read | Outcome::Absent | Outcome::Stale => {}
        Outcome::Timeout | Outcome::Unspecified => {
            report.skip("degraded_read");
            return None;
        }
    }
    let Some(position) = &read.position else {
        report.skip("no_position");
        return None;
    };
    // A lane that had committed nothing yet names no log of its own.
    let same_log = position.log_id == extent.log.0 || position.next == 0;
    let end = extent.ends.get(position.partition as usize);
    match end {
        Some(end) if same_log && position.next <= end.0 => {
            Some((Partition(position.partition), Offset(position.next)))
        }
        _ => {
            report.skip("log_gone");
            None
        }
    }
}

/// The positions of reads, by partition.
pub(super) fn positions<'a>(
    reads: impl Iterator<Item = &'a v1::LaneRead>,
) -> BTreeMap<Partition, BTreeSet<Offset>> {
    let mut positions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for position in reads.filter_map(|read| read.position.as_ref()).filter(|p| p.next > 0) {
        positions.entry(Partition(position.partition)).or_default().insert(Offset(position.next));
    }
    positions
}

/// Compares the recorded watermark of a head with the log's.
pub(super) fn watermark(
    response: &Response,
    lane: &Lane,
    read: &v1::LaneRead,
    found: &BTreeMap<(Partition, Offset), EventTime>,
    report: &mut Report,
) {
    let Some(position) = read.position.as_ref().filter(|position| position.next > 0) else {
        return;
    };
    let at = (Partition(position.partition), Offset(position.next));
    report.values += 1;
    let replayed = found.get(&at).map(|watermark| watermark.0);
    if replayed != Some(read.watermark_us) {
        let what = format!("watermark of lane {} at {}/{}", lane.id, at.0, at.1);
        report.differs(response, what, read.watermark_us.to_string(), format!("{replayed:?}"));
    }
}

impl Embeddings {
    /// The place of a response's embedding; `Some(None)` where it had none, `None` where it is gone.
    pub(super) fn of(
        &mut self,
        job: &Job,
        response: &Response,
    ) -> Result<Option<Option<u16>>, Error> {
        let digest = &response.served.embedding;
        if digest.is_empty() {
            return Ok(Some(None));
        }
        if let Some(place) = self.places.get(digest) {
            return Ok(Some(Some(*place)));
        }
        let bundle = response.served.response.as_ref().map_or("", |answer| &answer.bundle);
        let pair = (digest.clone(), bundle.to_owned());
        if self.gone.contains(&pair) {
            return Ok(None);
        }
        let embedding = (job.bundle)(bundle)?
            .ok()
            .and_then(|bundle| bundle.embedding())
            .filter(|embedding| hex(&embedding.digest()) == *digest);
        let Some(embedding) = embedding else {
            self.gone.insert(pair);
            return Ok(None);
        };
        let place = self.all.len() as u16;
        self.all.push(embedding);
        self.places.insert(digest.clone(), place);
        Ok(Some(Some(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_may_be_swept_is_there_or_not_and_any_other_is_as_the_log_says() {
        for may_sweep in [false, true] {
            assert!(is_possible(Outcome::Read, true, may_sweep));
            assert!(!is_possible(Outcome::Read, false, may_sweep), "nobody was ever seen");
            assert!(is_possible(Outcome::Absent, false, may_sweep));
            assert!(is_possible(Outcome::Stale, false, may_sweep));
        }
        assert!(is_possible(Outcome::Absent, true, true));
        assert!(!is_possible(Outcome::Absent, true, false), "it is too early to forget");
    }
}
