//! A shop whose responses are recorded as the service would have recorded them, computed by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use batch::history::History;
use batch::indexes;
use batch::parity::{self, Bundle, Job, Report};
use batch::{Error, Records};
use candidates::index::Indexes;
use candidates::joined_row::{Joiner, Request};
use candidates::pool::{self, Pool};
use candidates::source::Query;
use definitions::model::CompiledModel;
use definitions::{Definitions, Lane};
use fold::{Embedding, Value, decode_values};
use prost::Message as _;
use record::EventTime;
use wire::v1;
use wire::v1::lane_read::Outcome;

use super::memory::Memory;
use super::shop::{self, DAY_US, PARTITIONS, START_US};
use super::values::{engine, partition_at, run, served};

const ITEMS: usize = 12;
const PER_SOURCE: usize = 10;
/// Candidates of an answer, and how many of them are served.
const POOL: usize = 8;
pub(crate) const K: usize = 6;

pub(crate) struct Scored {
    model: CompiledModel,
    pub(crate) joiner: Joiner,
    pub(crate) vectors: Arc<shop::Vectors>,
}

impl Bundle for Scored {
    fn model(&self) -> &CompiledModel {
        &self.model
    }

    fn joiner(&self) -> &Joiner {
        &self.joiner
    }

    fn embedding(&self) -> Option<Arc<dyn Embedding>> {
        Some(self.vectors.clone())
    }

    fn query(&self, interest: &[f32]) -> Vec<f32> {
        interest.iter().map(|x| x * 0.5).collect()
    }

    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32> {
        let width = inputs.len() / rows;
        inputs.chunks(width).map(|row| row.iter().sum()).collect()
    }
}

fn bundle(definitions: &Definitions) -> Arc<Scored> {
    let model = definitions.compile_model("ranker").unwrap();
    let joiner = Joiner::new(definitions, &model, &definitions.lanes()).unwrap();
    Arc::new(Scored { model, joiner, vectors: shop::Vectors::new(ITEMS) })
}

/// The shop after a day, its indexes and a bundle.
pub(crate) struct World {
    pub(crate) log: Arc<Memory>,
    pub(crate) bundle: Arc<Scored>,
    pub(crate) indexes: Arc<Indexes>,
    /// Where each response lies in topic `served`, with its record.
    pub(crate) responses: Vec<((u32, u64), v1::Served)>,
    /// Whether responses are given an hour apart after the day that the log holds, so that what follows
    /// from them is not late; else within it.
    is_later: bool,
}

fn read(
    log: &Memory,
    lane: &Lane,
    lanes: &Arc<Lane>,
    partition: u32,
    next: u64,
    seen: bool,
) -> v1::LaneRead {
    let topic = &lane.source.topic;
    let mut id = [0; 16];
    topic.bytes().zip(&mut id).for_each(|(byte, id)| *id = byte);
    let outcome = if seen { Outcome::Read } else { Outcome::Absent };
    v1::LaneRead {
        lane: lane.id.0.to_vec(),
        position: Some(v1::Position { topic: topic.clone(), log_id: id.to_vec(), partition, next }),
        outcome: outcome.into(),
        watermark_us: partition_at(log, lanes, partition, next).head().watermark.0,
    }
}

/// The answer that says what the record says.
pub(crate) fn answered(candidates: &[v1::ServedCandidate]) -> Vec<v1::RecommendedItem> {
    let item = |candidate: &v1::ServedCandidate| v1::RecommendedItem {
        item_id: candidate.item_id.clone(),
        position: candidate.position,
        score: candidate.score,
        ..Default::default()
    };
    candidates.iter().filter(|candidate| candidate.position > 0).map(item).collect()
}

/// Takes scores and inputs from every candidate and serves them in this order.
pub(crate) fn unscore(served: &mut v1::Served, order: &[String]) {
    let place = |id: &String| order.iter().position(|item| item == id).unwrap();
    served.candidates.sort_by_key(|candidate| place(&candidate.item_id));
    for (candidate, position) in served.candidates.iter_mut().zip(1..) {
        candidate.position = if position > K as u32 { 0 } else { position };
        candidate.score = None;
        candidate.inputs.clear();
    }
    answer_as_recorded(served);
}

/// Says the same of record and answer: what the candidates' order and positions are now.
pub(crate) fn answer_as_recorded(served: &mut v1::Served) {
    served.response.as_mut().unwrap().items = answered(&served.candidates);
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::open(seed, false)
    }

    pub(crate) fn open(seed: u64, is_later: bool) -> Self {
        let log = Arc::new(shop::log());
        shop::fill(&log, seed, 400, 8, ITEMS, 1);
        let definitions = shop::definitions();
        let history = run(async {
            let records = Records::Log(log.clone());
            History::read(&engine(), &records, &definitions, Arc::new(|_| ())).await.unwrap()
        });
        let indexes = Arc::new(indexes::at(&history, EventTime(START_US + DAY_US / 2)));
        let (bundle, responses) = (bundle(&definitions), Vec::new());
        let mut world = Self { log, bundle, indexes, responses, is_later };
        for n in 0..12 {
            let served = world.response(n, true);
            let visitor = format!("v{}", n % 9);
            let at = world.log.put("served", &visitor, served.encode_to_vec(), 0);
            world.responses.push((at, served));
        }
        world
    }

    /// Response `n`, for which the visitor was read in time or was not.
    pub(crate) fn response(&self, n: u64, in_time: bool) -> v1::Served {
        let (log, joiner) = (&self.log, &self.bundle.joiner);
        // One visitor more than there are: absent from the store.
        let visitor = format!("v{}", n % 9);
        let share = 0.4 + 0.05 * n as f64;
        let as_of = match self.is_later {
            false => START_US + (DAY_US as f64 * share) as i64,
            true => START_US + DAY_US + (n as i64 + 1) * 3_600 * shop::SECOND_US,
        };
        let (mut reads, mut rows) = (Vec::new(), Vec::new());
        for lane in joiner.visitor_lanes() {
            let partition = record::partition_for_key(visitor.as_bytes(), PARTITIONS as u32).0;
            let next = (log.records(&lane.source.topic, partition).len() as f64 * share) as u64;
            let (values, _) = served(
                log,
                lane,
                &visitor,
                &[(partition, next)],
                as_of,
                Some(&*self.bundle.vectors),
            );
            if !in_time {
                let mut unread = read(log, lane, lane, partition, 0, false);
                unread.set_outcome(Outcome::Timeout);
                unread.watermark_us = i64::MIN;
                reads.push(unread);
                rows.push(Vec::new());
                continue;
            }
            let state = partition_at(log, lane, partition, next);
            let seen = state.state(&fold::StateKey::entity(lane, &visitor)).is_some();
            reads.push(read(log, lane, lane, partition, next, seen));
            rows.push(values);
        }
        let decoded = |row: &Vec<u8>| match row.is_empty() {
            true => Vec::new(),
            false => decode_values(row).unwrap(),
        };
        let visitor_rows: Vec<Vec<Value>> = rows.iter().map(decoded).collect();
        let visitor_rows: Vec<&[Value]> = visitor_rows.iter().map(Vec::as_slice).collect();
        let query = Query::of_visitor(&visitor_rows, Vec::new(), as_of, |interest| {
            self.bundle.query(interest)
        });
        let vectors = candidates::Vectors::align(&self.indexes.catalogue, &*self.bundle.vectors);
        let sources = &self.bundle.model.model.sources;
        let pool: Pool =
            pool::gather(sources, &self.indexes, Some(&vectors), &query, PER_SOURCE, POOL).unwrap();

        // The table covers a little less than the visitor's head, differently per partition.
        let table_as_of = as_of / 1_000_000 * 1_000_000;
        let mut table_reads = Vec::new();
        let mut items = vec![Vec::new(); pool.len()];
        for lane in joiner.item_lanes() {
            let mut positions = Vec::new();
            for partition in 0..PARTITIONS as u32 {
                let records = log.records(&lane.source.topic, partition).len() as f64;
                let next = (records * (share - 0.02 * f64::from(partition))) as u64;
                positions.push((partition, next));
                table_reads.push(read(log, lane, lane, partition, next, true));
            }
            for (item, values) in pool.items.iter().zip(&mut items) {
                let id = self.indexes.catalogue.id(*item);
                values.push(served(log, lane, id, &positions, table_as_of, None).0);
            }
        }
        let decoded: Vec<Vec<Vec<Value>>> = items
            .iter()
            .map(|lanes| lanes.iter().map(|bytes| decode_values(bytes).unwrap()).collect())
            .collect();
        let item = |lane: usize, row: usize| decoded[row][lane].as_slice();
        let joined = joiner.join(Request::of(&query), &visitor_rows, item, &pool);
        let (inputs, failed) = self.bundle.model.evaluate(&joined);
        assert!(failed.is_empty());
        let width = self.bundle.model.model.inputs.len();
        let scores = self.bundle.score(&inputs, pool.len());
        let mut best_first: Vec<usize> = (0..pool.len()).collect();
        best_first.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let candidates = best_first.iter().zip(1..).map(|(&row, position)| {
            let inputs = inputs[row * width..][..width].to_vec();
            v1::ServedCandidate {
                item_id: self.indexes.catalogue.id(pool.items[row]).to_string(),
                position: if position > K as u32 { 0 } else { position },
                inclusion_probability: 1.0,
                item_features: items[row].clone(),
                sources: pool
                    .hits_of(row)
                    .map(|(source, hit)| v1::SourceHit {
                        source: source.to_owned(),
                        score: hit.score,
                        rank: hit.rank,
                        share: hit.share,
                    })
                    .collect(),
                score: self.bundle.score(&inputs, 1).first().copied(),
                inputs,
            }
        });
        let candidates: Vec<v1::ServedCandidate> = candidates.collect();
        v1::Served {
            request: Some(v1::RecommendRequest { visitor_id: visitor, ..Default::default() }),
            response: Some(v1::RecommendResponse {
                request_id: format!("r{n}"),
                as_of_us: as_of,
                bundle: "bundle".into(),
                tracking_token: format!("token-{n}"),
                items: answered(&candidates),
                ..Default::default()
            }),
            candidates,
            visitor_reads: reads,
            item_table_reads: table_reads,
            item_table_as_of_us: table_as_of,
            snapshots: BTreeMap::from([("indexes".to_owned(), self.indexes.digest_hex())]),
            configuration: "settings".into(),
            visitor_features: rows,
            embedding: "07".repeat(32),
            ..Default::default()
        }
    }

    /// The items of a record by the strength of their hits, ties by the indexes' order.
    pub(crate) fn in_order_of_fusion(&self, served: &v1::Served) -> Vec<String> {
        let mut fused: Vec<(f64, u32, &String)> = served
            .candidates
            .iter()
            .map(|candidate| {
                let gain =
                    |hit: &v1::SourceHit| pool::weight(&hit.source) / (20.0 + f64::from(hit.rank));
                let item = self.indexes.catalogue.ordinal(&candidate.item_id).unwrap();
                (candidate.sources.iter().map(gain).sum(), item, &candidate.item_id)
            })
            .collect();
        fused.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        fused.into_iter().map(|(_, _, id)| id.clone()).collect()
    }

    /// Puts a changed record in the place of response `n`.
    pub(crate) fn change(&self, n: usize, change: impl FnOnce(&mut v1::Served)) {
        let (at, mut served) = self.responses[n].clone();
        change(&mut served);
        self.log.change("served", at, served.encode_to_vec());
    }

    pub(crate) fn restore(&self) {
        for (at, served) in &self.responses {
            self.log.change("served", *at, served.encode_to_vec());
        }
    }

    pub(crate) fn parity(&self) -> Report {
        run(parity::run(&engine(), &self.job())).unwrap()
    }

    pub(crate) fn job(&self) -> Job {
        let (indexes, bundle) = (Arc::clone(&self.indexes), Arc::clone(&self.bundle));
        Job {
            records: Records::Log(self.log.clone()),
            item_records: Records::Log(self.log.clone()),
            served_topic: "served".into(),
            lanes: shop::definitions().lanes(),
            configuration: "settings".into(),
            per_source: PER_SOURCE,
            indexes: Box::new(move |digest| {
                Ok(if digest == indexes.digest_hex() {
                    Ok(indexes.clone())
                } else {
                    Err("indexes_gone")
                })
            }),
            bundle: Box::new(move |digest| match digest {
                "bundle" => Ok(Ok(bundle.clone() as _)),
                "of others" => Ok(Err("bundle_of_other_definitions")),
                "damaged" => Err(Error::Damaged {
                    path: "models/damaged".into(),
                    what: "one bit differs".to_owned(),
                    remedy: "restore it",
                }),
                _ => Ok(Err("bundle_gone")),
            }),
            watch: Arc::new(|_| ()),
        }
    }
}

/// What a visitor did after an answer: response, kind, item, microseconds after it, token.
pub(crate) type Followed<'a> = (usize, &'a str, String, i64, &'a str);

impl World {
    /// Appends what followed, and a click in each partition so much later that every window is closed.
    pub(crate) fn arrive(&self, followed: &[Followed<'_>], window_us: i64) {
        let mut clicks = Vec::new();
        for (n, (response, kind, item, after_us, token)) in followed.iter().enumerate() {
            let served = &self.responses[*response].1;
            let at = served.response.as_ref().unwrap().as_of_us + after_us;
            let visitor = served.request.as_ref().unwrap().visitor_id.clone();
            let token = match *token {
                "" => String::new(),
                token => format!(r#","tracking_token":"{token}""#),
            };
            let json = format!(
                r#"{{"event_id":"o{n}","event_time":{at},"visitor_id":"{visitor}","kind":"{kind}","item_id":"{item}"{token}}}"#
            );
            clicks.push((at, visitor, json));
        }
        clicks.sort();
        for (at, visitor, json) in clicks {
            self.log.put("clickstream", &visitor, json.into_bytes(), at / 1000);
        }
        let end = START_US + 3 * DAY_US + window_us;
        let mut closed = [false; PARTITIONS];
        for n in 0..100 {
            let visitor = format!("closing{n}");
            let partition = record::partition_for_key(visitor.as_bytes(), PARTITIONS as u32).0;
            if !std::mem::replace(&mut closed[partition as usize], true) {
                shop::click(&self.log, &visitor, &visitor, "i0", "view", end, end / 1000);
            }
        }
        assert!(closed.iter().all(|closed| *closed));
    }
}
