//! Responses as the service would have recorded them, computed by hand, replayed by parity; then one
//! thing is changed at a time and must be found.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::{Float32Type, Int64Type};
use batch::Records;
use batch::examples::{Towers, as_served};
use batch::history::History;
use batch::indexes;
use batch::parity::{self, Bundle, Job, Report};
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
        let log = Arc::new(shop::log());
        shop::fill(&log, seed, 400, 8, ITEMS, 1);
        let definitions = shop::definitions();
        let history = run(async {
            let records = Records::Log(log.clone());
            History::read(&engine(), &records, &definitions, Arc::new(|_| ())).await.unwrap()
        });
        let indexes = Arc::new(indexes::at(&history, EventTime(START_US + DAY_US / 2)));
        let mut world = Self { log, bundle: bundle(&definitions), indexes, responses: Vec::new() };
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
        let as_of = START_US + (DAY_US as f64 * share) as i64;
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
                (digest == indexes.digest_hex()).then(|| indexes.clone())
            }),
            bundle: Box::new(move |digest| (digest == "bundle").then(|| bundle.clone() as _)),
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
        let gone = report.skipped.get("bundle_gone").copied().unwrap_or(0);
        assert!((1..=lanes + 1).contains(&gone), "response {n}: {report:#?}");
        assert_eq!((report.skipped.len(), report.mismatched), (1, 0), "{report:#?}");
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

/// The as-served training set is the record's own inputs, computed again from the log, with what the
/// visitor did next.
#[test]
fn an_as_served_training_set_has_the_inputs_that_the_model_saw() {
    let world = World::new(14);
    let definitions = shop::definitions();
    let towers = Towers {
        embedding: world.bundle.vectors.clone(),
        query: Arc::new(<[f32]>::to_vec),
        trained_to: EventTime(START_US),
    };
    let dir = tempfile::tempdir().unwrap();
    let settings = as_served::Settings { window_us: DAY_US / 8, ..Default::default() };
    let (report, counted) = run(async {
        let records = Records::Log(world.log.clone());
        let history =
            History::read(&engine(), &records, &definitions, Arc::new(|_| ())).await.unwrap();
        let job = world.job();
        let root = dir.path();
        as_served::assemble(&engine(), &job, &definitions, &history, root, Some(&towers), &settings)
            .await
            .unwrap()
    });
    assert!(report.positions >= 3, "{report:?} {counted:?}");
    let open = counted.skipped["window_open"];
    assert!(open > 0, "the last responses' outcomes are not known yet");
    assert_eq!(report.positions + report.positions_without_target + open, 12);
    let file = std::fs::File::open(report.dir.join("examples.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = 0;
    for batch in reader.map(Result::unwrap) {
        let times = batch.column(1).as_primitive::<Int64Type>();
        let items = batch.column(2).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let mut served = world.responses.iter().map(|(_, served)| served);
            let of_row =
                |s: &&v1::Served| s.response.as_ref().unwrap().as_of_us == times.value(row);
            let served = served.find(of_row).unwrap();
            let candidate =
                served.candidates.iter().find(|c| c.item_id == items.value(row)).unwrap();
            let inputs =
                batch.columns()[6..].iter().map(|c| c.as_primitive::<Float32Type>().value(row));
            let inputs: Vec<u32> = inputs.map(f32::to_bits).collect();
            assert_eq!(inputs, candidate.inputs.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            rows += 1;
        }
    }
    assert_eq!(rows, report.rows);
}
