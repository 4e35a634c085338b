//! From an answer to its record: everything that replaying it needs.

use std::collections::BTreeMap;

use fold::encode_values;
use wire::v1;
use wire::v1::lane_read::Outcome;

use super::Done;
use crate::item_table::Version;
use crate::service::query::{Candidate, Query};
use crate::service::tables::hex;

/// What is the same for every record of a process.
pub(super) struct Constants {
    pub(super) configuration: String,
    pub(super) definitions: String,
    pub(super) unserved_sample: usize,
}

pub(super) fn record(done: &Done, constants: &Constants) -> v1::Served {
    let query = &done.query;
    let snapshot = &query.snapshot;
    let indexes = snapshot.indexes.iter();
    let embedding = snapshot.bundle.as_ref().and_then(|bundle| bundle.embedding());
    let (sample, probability) = sample(done, constants.unserved_sample);
    let served = done.selected.iter().zip(1..).map(|(item, at)| candidate(query, item, at, 1.0));
    let unserved = sample.into_iter().map(|item| candidate(query, item, 0, probability));
    v1::Served {
        request: Some(query.request.clone()),
        response: Some(done.response.clone()),
        visitor_reads: query.visitor.reads.clone(),
        item_table_reads: item_table_reads(&query.items),
        item_table_as_of_us: query.items.as_of().0,
        snapshots: indexes.map(|indexes| ("indexes".to_owned(), indexes.digest_hex())).collect(),
        configuration: constants.configuration.clone(),
        definitions: constants.definitions.clone(),
        visitor_features: query
            .visitor
            .values
            .iter()
            .map(|values| if values.is_empty() { Vec::new() } else { encode_values(values) })
            .collect(),
        embedding: embedding.map_or_else(String::new, |embedding| hex(&embedding.digest())),
        candidates: served.chain(unserved).collect(),
    }
}

/// Unserved candidates by the hash of (request, item): a sample that a replay draws again.
fn sample(done: &Done, size: usize) -> (Vec<&Candidate>, f64) {
    let key = *blake3::hash(done.response.tracking_token.as_bytes()).as_bytes();
    let mut drawn: Vec<([u8; 32], &Candidate)> = done
        .rest
        .iter()
        .map(|item| (*blake3::keyed_hash(&key, done.query.id(item).as_bytes()).as_bytes(), item))
        .collect();
    drawn.sort_unstable_by_key(|(hash, _)| *hash);
    drawn.truncate(size);
    let probability =
        if done.rest.is_empty() { 1.0 } else { drawn.len() as f64 / done.rest.len() as f64 };
    (drawn.into_iter().map(|(_, item)| item).collect(), probability)
}

fn candidate(
    query: &Query,
    item: &Candidate,
    position: u32,
    probability: f64,
) -> v1::ServedCandidate {
    let lanes = 0..query.items.lanes().len();
    let row =
        item.row.map(|row| lanes.map(move |lane| encode_values(query.items.values(lane, row))));
    let width = query.snapshot.bundle.as_ref().map_or(0, |bundle| bundle.model.model.inputs.len());
    v1::ServedCandidate {
        item_id: query.id(item).to_string(),
        position,
        inclusion_probability: probability,
        item_features: row.map_or_else(Vec::new, Iterator::collect),
        sources: source_hits(query, item),
        inputs: item.inputs(width).to_vec(),
        score: item.score,
    }
}

/// The hits of a candidate, in the order of the sources.
pub(in crate::service) fn source_hits(query: &Query, item: &Candidate) -> Vec<v1::SourceHit> {
    let hits = query.sources.iter().zip(&item.hits);
    hits.filter_map(|(source, hit)| {
        hit.map(|hit| v1::SourceHit {
            source: source.clone(),
            score: hit.score,
            rank: hit.rank,
            share: hit.share,
        })
    })
    .collect()
}

fn item_table_reads(items: &Version) -> Vec<v1::LaneRead> {
    let topics: BTreeMap<_, _> =
        items.lanes().iter().map(|lane| (lane.id, &lane.source.topic)).collect();
    let read = |read: &crate::item_table::LaneRead| {
        let outcome = if read.head.is_some() { Outcome::Read } else { Outcome::Absent };
        v1::LaneRead {
            lane: read.lane.0.to_vec(),
            position: Some(v1::Position {
                topic: topics.get(&read.lane).map_or_else(String::new, |topic| (*topic).clone()),
                log_id: read.head.as_ref().map_or_else(Vec::new, |head| head.log.0.to_vec()),
                partition: read.partition.0,
                next: read.head.as_ref().map_or(0, |head| head.next.0),
            }),
            outcome: outcome.into(),
            watermark_us: read.head.as_ref().map_or(i64::MIN, |head| head.watermark.0),
        }
    };
    items.reads().iter().map(read).collect()
}
