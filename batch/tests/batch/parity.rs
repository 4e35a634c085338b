//! Responses as the service would have recorded them, computed by hand, replayed by parity; then one
//! thing is changed at a time and must be found.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float32Type, Int64Type, UInt8Type};
use batch::examples::{Towers, as_served};
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
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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
const K: usize = 6;

struct Scored {
    model: CompiledModel,
    joiner: Joiner,
    vectors: Arc<shop::Vectors>,
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
    bundle: Arc<Scored>,
    indexes: Arc<Indexes>,
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
fn answered(candidates: &[v1::ServedCandidate]) -> Vec<v1::RecommendedItem> {
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
fn answer_as_recorded(served: &mut v1::Served) {
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

#[test]
fn what_was_served_is_what_the_log_gives_and_one_changed_bit_is_found() {
    let world = World::new(11);
    let report = world.parity();
    assert_eq!((report.responses, report.mismatched), (12, 0), "{report:#?}");
    assert!(report.values > 2_000 && report.skipped.is_empty(), "{report:#?}");

    // Several passes over the log compare the same.
    let passes = run(parity::run_in_passes(&engine(), &world.job(), 1)).unwrap();
    assert_eq!(passes, report);

    // What was changed is named, and nothing else is.
    let found = |name: &str, change: &dyn Fn(&mut v1::Served)| {
        world.change(5, change);
        let report = world.parity();
        assert!(report.mismatched > 0, "{name} went unseen");
        let all = report.mismatches.iter().all(|m| m.request_id == "r5");
        assert!(
            all && report.mismatches.iter().any(|m| m.what.contains(name)),
            "{name}: {report:#?}"
        );
        world.restore();
        report.mismatched
    };
    let feature =
        |name: &'static str, row: &mut Vec<u8>, change: &dyn Fn(&mut Value), lane: &Lane| {
            let mut values = decode_values(row).unwrap();
            let at = lane.features.iter().position(|f| f.name == name).unwrap();
            change(&mut values[at]);
            *row = fold::encode_values(&values);
        };
    let more = |value: &mut Value| match value {
        Value::Int(count) => *count += 1,
        other => panic!("{other:?} is no count"),
    };
    let lanes = world.bundle.joiner.visitor_lanes().to_vec();
    found("user_activity.views_7d", &|served| {
        feature("views_7d", &mut served.visitor_features[0], &more, &lanes[0]);
    });
    let items = world.bundle.joiner.item_lanes().to_vec();
    let popularity = items.iter().position(|l| l.source.name == "clickstream").unwrap();
    found("item_popularity.carts_7d of item", &|served| {
        let row = &mut served.candidates[1].item_features[popularity];
        feature("carts_7d", row, &more, &items[popularity]);
    });
    let score = |served: &mut v1::Served| {
        let hit = &mut served.candidates[0].sources[0];
        hit.score = f64::from_bits(hit.score.to_bits() ^ 1);
    };
    assert_eq!(found("source ", &score), 1, "the last bit of one source's score");
    found("watermark", &|served| served.item_table_reads[6].watermark_us += 1);
    found("watermark", &|served| served.visitor_reads[0].watermark_us -= 1);
    found("score of item", &|served| served.candidates[2].score = Some(0.5));
    found("input ", &|served| served.candidates[2].inputs[0] += 1.0);
    found("whether lane", &|served| served.visitor_reads[0].set_outcome(Outcome::Absent));
    found("whether the table knew", &|served| served.candidates[0].item_features.clear());
    // A hit that was not there, and one that was left out.
    found("source ", &|served| drop(served.candidates[0].sources.remove(0)));
    // A read at another position or time gives other values.
    found("user_", &|served| {
        let position = served.visitor_reads[0].position.as_mut().unwrap();
        position.next /= 2;
    });
    found("user_", &|served| {
        served.response.as_mut().unwrap().as_of_us += 3 * 3_600 * shop::SECOND_US;
    });
}

/// Swaps the candidates at two places, which take each other's position.
fn swap(served: &mut v1::Served, a: usize, b: usize) {
    let candidates = &mut served.candidates;
    candidates.swap(a, b);
    let position = candidates[a].position;
    candidates[a].position = candidates[b].position;
    candidates[b].position = position;
    answer_as_recorded(served);
}

#[test]
fn the_order_of_the_list_is_the_selectors_and_the_answer_is_the_record() {
    let world = World::new(15);
    let report = |change: &dyn Fn(&mut v1::Served)| {
        world.change(5, change);
        let report = world.parity();
        world.restore();
        report
    };
    let found = |change: &dyn Fn(&mut v1::Served), what: &str| {
        let report = report(change);
        assert_eq!(report.mismatched, 1, "{what}: {report:#?}");
        assert_eq!(report.mismatches[0].request_id, "r5");
        assert!(report.mismatches[0].what.contains(what), "{what}: {report:#?}");
    };
    let whole = world.parity();
    assert_eq!((whole.mismatched, whole.skipped.len()), (0, 0), "{whole:#?}");

    // By score, the served ones among themselves and before what was left out.
    found(&|served| swap(served, 0, 1), "place 1 of the answer");
    found(&|served| swap(served, 2, 4), "place 3 of the answer");
    found(&|served| swap(served, K - 1, K), "place 6 of the answer");
    // The answer is not what the record says.
    found(&|served| served.response.as_mut().unwrap().items.swap(0, 1), "the list of the answer");
    found(&|served| drop(served.response.as_mut().unwrap().items.pop()), "the list of the answer");
    let score = |served: &mut v1::Served| {
        let item = &mut served.response.as_mut().unwrap().items[1];
        item.score = item.score.map(|score| f32::from_bits(score.to_bits() ^ 1));
    };
    found(&score, "the list of the answer");
    // Nothing was recorded, but something was answered.
    found(&|served| served.candidates.clear(), "the list of the answer");

    // Nothing in both is an answer like any other: its list is compared, and nothing is skipped.
    let empty = report(&|served| {
        served.candidates.clear();
        answer_as_recorded(served);
    });
    assert_eq!((empty.mismatched, empty.skipped.len(), empty.responses), (0, 0, 12), "{empty:#?}");
    let without = report(&|served| {
        served.candidates.clear();
        answer_as_recorded(served);
        served.visitor_reads.clear();
        served.visitor_features.clear();
    });
    assert!(without.values < empty.values && empty.values < whole.values);
}

/// What no model scored has the order of the sources, and a fallback's that of the trending list.
#[test]
fn an_answer_without_scores_is_in_the_order_of_its_sources() {
    let world = World::new(16);
    let (_, before) = &world.responses[5];
    let catalogue = &world.indexes.catalogue;
    let fused = world.in_order_of_fusion(before);
    let trending: Vec<&str> =
        world.indexes.trending.iter().map(|entry| &**catalogue.id(entry.item)).collect();
    let by_score: Vec<String> = before.candidates.iter().map(|c| c.item_id.clone()).collect();
    let of_recorded = |ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).filter(|id| by_score.contains(id));
        ids.collect::<Vec<_>>()
    };
    assert_ne!(of_recorded(&trending), fused, "else the test says little");
    assert_ne!(by_score, fused, "else the test says little");
    let trending = of_recorded(&trending);
    for (tier, order) in [(v1::Tier::Heuristic, &fused), (v1::Tier::Popular, &trending)] {
        for swapped in [false, true] {
            world.change(5, |served| {
                served.response.as_mut().unwrap().set_tier(tier);
                unscore(served, order);
                if swapped {
                    swap(served, 1, 2);
                }
            });
            let report = world.parity();
            let places: Vec<&str> = report.mismatches.iter().map(|m| m.what.as_str()).collect();
            let expected: &[&str] = if swapped { &["place 2 of the answer"] } else { &[] };
            assert_eq!(places, expected, "{tier:?}");
            assert_eq!(report.skipped, BTreeMap::from([("unscored", 1)]));
            world.restore();
        }
    }
}

/// One response's bundle is gone; others have the same vectors in a bundle that is there.
#[test]
fn vectors_that_one_bundle_lacks_are_looked_for_in_the_next() {
    let world = World::new(17);
    let lanes = world.bundle.joiner.visitor_lanes().len() as u64;
    for n in 0..12 {
        world.change(n, |served| served.response.as_mut().unwrap().bundle = "another".into());
        let report = world.parity();
        // Its own scores, and its features where no response before it had these vectors.
        assert_eq!(report.skipped["bundle_gone"], 1, "response {n}: {report:#?}");
        let gone = report.skipped.get("embedding_gone").copied().unwrap_or(0);
        assert!((0..=lanes).contains(&gone), "response {n}: {report:#?}");
        assert_eq!(report.mismatched, 0, "{report:#?}");
        world.restore();
    }
}

#[test]
fn a_changed_record_of_the_log_is_found() {
    let world = World::new(12);
    let visitor = world.responses[11].1.request.as_ref().unwrap().visitor_id.clone();
    let partition = record::partition_for_key(visitor.as_bytes(), PARTITIONS as u32).0;
    let records = world.log.records("clickstream", partition);
    let own =
        |r: &&record::Record| r.key == visitor.as_bytes() && r.value.starts_with(b"{\"event_id\"");
    let of_visitor = records.iter().find(own).unwrap();
    let text = String::from_utf8(of_visitor.value.clone()).unwrap();
    let other = text.replace("\"item_id\":\"i", "\"item_id\":\"i1");
    world.log.change("clickstream", (partition, of_visitor.offset.0), other.into_bytes());
    assert!(world.parity().mismatched > 0);
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

struct Row {
    at_us: i64,
    item: String,
    labels: [u8; 3],
    inputs: Vec<u32>,
}

fn as_served_set(
    world: &World,
    definitions: &Definitions,
    window_us: i64,
) -> Result<(batch::examples::Report, Report, Vec<Row>), batch::Error> {
    let towers = Towers {
        embedding: world.bundle.vectors.clone(),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US),
    };
    let dir = tempfile::tempdir().unwrap();
    let settings = as_served::Settings { window_us, ..Default::default() };
    let (report, counted) = run(async {
        let records = Records::Log(world.log.clone());
        let history =
            History::read(&engine(), &records, definitions, Arc::new(|_| ())).await.unwrap();
        let job = world.job();
        let root = dir.path();
        as_served::assemble(&engine(), &job, definitions, &history, root, Some(&towers), &settings)
            .await
    })?;
    let file = std::fs::File::open(report.dir.join("examples.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader.map(Result::unwrap) {
        let times = batch.column(1).as_primitive::<Int64Type>();
        let items = batch.column(2).as_string::<i32>();
        let label = |n: usize| batch.column(n).as_primitive::<UInt8Type>().clone();
        let labels = [label(3), label(4), label(5)];
        for row in 0..batch.num_rows() {
            let inputs =
                batch.columns()[6..].iter().map(|c| c.as_primitive::<Float32Type>().value(row));
            rows.push(Row {
                at_us: times.value(row),
                item: items.value(row).to_owned(),
                labels: labels.each_ref().map(|labels| labels.value(row)),
                inputs: inputs.map(f32::to_bits).collect(),
            });
        }
    }
    Ok((report, counted, rows))
}

/// The as-served training set is the record's own inputs, computed again from the log, with what
/// followed from the answer.
#[test]
fn an_as_served_training_set_has_the_inputs_that_the_model_saw_and_what_followed_from_them() {
    const WINDOW_US: i64 = 30 * 60 * 1_000_000;
    let world = World::open(14, true);
    let definitions = shop::definitions();
    let id =
        |response: usize, at: usize| world.responses[response].1.candidates[at].item_id.clone();
    let minute = 60 * shop::SECOND_US;
    // Two answers to two visitors that hold the same item.
    let shared = (0..K)
        .find_map(|a| (0..K).find(|b| id(3, *b) == id(4, a)).map(|b| (b, a)))
        .expect("lists of popular items meet");
    let outcomes = [
        // The first that followed counts, whichever comes later.
        (0, "view", id(0, 2), minute, "token-0"),
        (0, "purchase", id(0, 1), 2 * minute, "token-0"),
        // Found elsewhere: no token, though the item was on the list.
        (1, "view", id(1, 0), minute, ""),
        (1, "cart", id(1, 4), 3 * minute, "token-1"),
        // Only without a token; and with somebody else's.
        (2, "view", id(2, 0), minute, ""),
        (2, "view", id(2, 0), minute + 1, "token-9999"),
        // The same item in two answers: the click belongs to the one that it came from.
        (4, "purchase", id(4, shared.1), minute, "token-4"),
        // Recorded but never shown, then outside of the window, then before the answer.
        (5, "view", id(5, K), minute, "token-5"),
        (6, "view", id(6, 0), WINDOW_US + 1000, "token-6"),
        (7, "view", id(7, 0), 0, "token-7"),
        // A link that was passed on: the token is the ninth answer's, the visitor is another.
        (10, "view", id(9, 0), minute, "token-9"),
        // To the end of the window.
        (8, "view", id(8, 0), WINDOW_US, "token-8"),
    ];
    let targets = [
        (0, id(0, 2), [1, 0, 0]),
        (1, id(1, 4), [1, 1, 0]),
        (4, id(4, shared.1), [1, 0, 1]),
        (8, id(8, 0), [1, 0, 0]),
    ];
    let early = as_served_set(&world, &definitions, WINDOW_US).map(|_| ()).unwrap_err().to_string();
    assert!(early.contains("no response can be learned from: skipped 12 window_open"), "{early}");
    world.arrive(&outcomes, WINDOW_US);
    let (report, counted, rows) = as_served_set(&world, &definitions, WINDOW_US).unwrap();
    assert_eq!((report.positions, report.positions_without_target), (4, 8), "{counted:?}");
    assert_eq!(counted.skipped, [("outcome_of_another_visitor", 1)].into(), "{counted:?}");
    assert_eq!(rows.len() as u64, report.rows);
    assert_eq!(rows.len(), 4 * K, "what was not served is no row");
    for row in &rows {
        let (n, served) = (0..12)
            .map(|n| (n, &world.responses[n].1))
            .find(|(_, s)| s.response.as_ref().unwrap().as_of_us == row.at_us)
            .unwrap();
        let candidate = served.candidates.iter().find(|c| c.item_id == row.item).unwrap();
        assert!(candidate.position > 0);
        assert_eq!(row.inputs, candidate.inputs.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        let target = targets.iter().find(|(of, item, _)| (*of, item) == (n, &row.item));
        assert_eq!(row.labels, target.map_or([0; 3], |(_, _, labels)| *labels), "response {n}");
    }
}

#[test]
fn labels_need_the_column_that_says_which_answer_an_event_followed_from() {
    let world = World::open(14, true);
    let without = shop::changed("sources/clickstream.toml", |text| {
        let lines = text.lines().filter(|line| !line.starts_with("tracking_token"));
        lines.collect::<Vec<_>>().join("\n")
    });
    let error = as_served_set(&world, &without, 1).map(|_| ()).unwrap_err();
    assert!(matches!(error, batch::Error::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("source clickstream has no text column `tracking_token`"), "{text}");
    assert!(text.contains("add `tracking_token = {"), "{text}");
}
