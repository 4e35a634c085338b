//! From features to the list: source hits, inputs, scores, order, each from what is recorded of the stage
//! before.

use std::sync::Arc;

use candidates::Vectors;
use candidates::index::Indexes;
use candidates::joined_row::Request;
use candidates::pool::Pool;
use candidates::source::{self, Hit, Query};
use fold::{Value, decode_values};
use hashbrown::HashMap;
use wire::v1;

use super::read::Response;
use super::{Bundle, Found, Job, Report, list};
use crate::Error;

/// What was looked for, by digest.
#[derive(Default)]
struct Loaded {
    indexes: HashMap<String, Found<Arc<Indexes>>>,
    bundles: HashMap<String, Found<Arc<dyn Bundle>>>,
    vectors: HashMap<(String, String), Option<Arc<Vectors>>>,
}

/// A response with everything that its stages are computed from.
struct Replay<'a> {
    response: &'a Response,
    indexes: Arc<Indexes>,
    bundle: Option<Arc<dyn Bundle>>,
    vectors: Option<Arc<Vectors>>,
    visitor: Vec<Vec<Value>>,
    query: Query,
}

pub(super) fn compare(job: &Job, responses: &[Response], report: &mut Report) -> Result<(), Error> {
    let mut loaded = Loaded::default();
    for response in responses {
        list::is_the_answer(response, report);
        if response.served.candidates.is_empty() {
            // An empty answer has no features, hits or scores; that it was empty was compared.
            continue;
        }
        if response.served.configuration != job.configuration {
            report.skip("other_configuration");
            continue;
        }
        let replay = match Replay::new(job, response, &mut loaded)? {
            Ok(replay) => replay,
            Err(reason) => {
                report.skip(reason);
                continue;
            }
        };
        if !list::is_in_order(response, &replay.indexes, &replay.query, report) {
            report.skip("damaged_record");
        }
        hits(job, &replay, report);
        inputs_and_scores(&replay, report);
    }
    Ok(())
}

impl<'a> Replay<'a> {
    fn new(job: &Job, response: &'a Response, loaded: &mut Loaded) -> Result<Found<Self>, Error> {
        const DAMAGED: &str = "damaged_record";
        let served = &response.served;
        let (Some(answer), Some(request)) = (&served.response, &served.request) else {
            return Ok(Err(DAMAGED));
        };
        let digest = served.snapshots.get("indexes").cloned().unwrap_or_default();
        let indexes = match loaded.indexes(job, &digest)? {
            Ok(indexes) => indexes,
            Err(reason) => return Ok(Err(reason)),
        };
        let bundle = match answer.bundle.as_str() {
            "" => None,
            digest => match loaded.bundle(job, digest)? {
                Ok(bundle) => Some(bundle),
                Err(reason) => return Ok(Err(reason)),
            },
        };
        let vectors =
            bundle.as_ref().and_then(|b| loaded.vectors(&digest, &answer.bundle, &indexes, b));
        let row = |bytes: &Vec<u8>| match bytes.is_empty() {
            true => Ok(Vec::new()),
            false => decode_values(bytes),
        };
        let visitor: Result<Vec<_>, _> = served.visitor_features.iter().map(row).collect();
        let Ok(visitor) = visitor else { return Ok(Err(DAMAGED)) };
        let rows: Vec<&[Value]> = visitor.iter().map(Vec::as_slice).collect();
        let context = request.context_item_ids.iter().map(|id| id.as_str().into()).collect();
        let tower = |interest: &[f32]| {
            bundle.as_ref().map_or_else(Vec::new, |bundle| bundle.query(interest))
        };
        let query = Query::of_visitor(&rows, context, answer.as_of_us, tower);
        Ok(Ok(Self { response, indexes, bundle, vectors, visitor, query }))
    }
}

/// Every source's hits of the recorded candidates.
fn hits(job: &Job, replay: &Replay<'_>, report: &mut Report) {
    let Some(bundle) = &replay.bundle else {
        report.skip("no_bundle");
        return;
    };
    for name in &bundle.model().model.sources {
        if replay.response.lacks(name) {
            report.skip("degraded_source");
            continue;
        }
        let vectors = replay.vectors.as_deref();
        let (indexes, query) = (&*replay.indexes, &replay.query);
        let replayed: HashMap<u32, Hit> =
            source::candidates(name, indexes, vectors, query, job.per_source)
                .into_iter()
                .map(|hit| (hit.item, hit))
                .collect();
        for candidate in &replay.response.served.candidates {
            report.values += 1;
            let item = replay.indexes.catalogue.ordinal(&candidate.item_id);
            let now = item.and_then(|item| replayed.get(&item)).map(bits);
            let before = candidate.sources.iter().find(|hit| hit.source == *name);
            let before = before.map(|hit| (hit.score.to_bits(), hit.rank, hit.share.to_bits()));
            if before != now {
                let shown = |hit: Option<(u64, u32, u64)>| match hit {
                    Some((score, rank, share)) => format!(
                        "score {}, rank {rank}, share {}",
                        f64::from_bits(score),
                        f64::from_bits(share)
                    ),
                    None => "no hit".to_owned(),
                };
                let what = format!("source {name} of item {}", candidate.item_id);
                report.differs(replay.response, what, shown(before), shown(now));
            }
        }
    }
}

fn bits(hit: &Hit) -> (u64, u32, u64) {
    (hit.score.to_bits(), hit.rank, hit.share.to_bits())
}

/// Inputs of the recorded features and hits, and scores of the recorded inputs.
fn inputs_and_scores(replay: &Replay<'_>, report: &mut Report) {
    let Some(bundle) = &replay.bundle else { return };
    let scored: Vec<&v1::ServedCandidate> = replay
        .response
        .served
        .candidates
        .iter()
        .filter(|candidate| !candidate.inputs.is_empty())
        .collect();
    if scored.is_empty() {
        report.skip("unscored");
        return;
    }
    let Some(items) = item_values(&scored) else {
        report.skip("damaged_record");
        return;
    };
    let Some(pool) = pool(replay, bundle, &scored) else {
        report.skip("damaged_record");
        return;
    };
    let visitor: Vec<&[Value]> = replay.visitor.iter().map(Vec::as_slice).collect();
    let item = |lane: usize, row: usize| items[row].get(lane).map_or(&[][..], Vec::as_slice);
    let joined = bundle.joiner().join(Request::of(&replay.query), &visitor, item, &pool);
    let (inputs, _) = bundle.model().evaluate(&joined);
    let model = &bundle.model().model;
    let width = model.inputs.len();
    for (candidate, now) in scored.iter().zip(inputs.chunks_exact(width.max(1))) {
        report.values += width as u64;
        if candidate.inputs.len() != width {
            let what = format!("number of inputs of item {}", candidate.item_id);
            let before = candidate.inputs.len().to_string();
            report.differs(replay.response, what, before, width.to_string());
            continue;
        }
        for ((input, before), now) in model.inputs.iter().zip(&candidate.inputs).zip(now) {
            if before.to_bits() != now.to_bits() {
                let what = format!("input {} of item {}", input.name, candidate.item_id);
                report.differs(replay.response, what, before.to_string(), now.to_string());
            }
        }
        let Some(before) = candidate.score else { continue };
        report.values += 1;
        let now = bundle.score(&candidate.inputs, 1).first().copied();
        if now.map(f32::to_bits) != Some(before.to_bits()) {
            let what = format!("score of item {}", candidate.item_id);
            report.differs(replay.response, what, before.to_string(), format!("{now:?}"));
        }
    }
}

/// The recorded item features, by candidate and lane.
fn item_values(scored: &[&v1::ServedCandidate]) -> Option<Vec<Vec<Vec<Value>>>> {
    let rows = scored.iter().map(|candidate| {
        candidate.item_features.iter().map(|bytes| decode_values(bytes)).collect()
    });
    rows.collect::<Result<_, _>>().ok()
}

/// The recorded hits as the joined row takes them; `None`: an item that the indexes do not know.
fn pool(
    replay: &Replay<'_>,
    bundle: &Arc<dyn Bundle>,
    scored: &[&v1::ServedCandidate],
) -> Option<Pool> {
    let ordinal =
        |candidate: &&v1::ServedCandidate| replay.indexes.catalogue.ordinal(&candidate.item_id);
    let items: Vec<u32> = scored.iter().map(ordinal).collect::<Option<_>>()?;
    let sources = bundle.model().model.sources.clone();
    let hit = |source: &String, candidate: &v1::ServedCandidate, item: u32| {
        let found = candidate.sources.iter().find(|hit| hit.source == *source)?;
        Some(Hit { item, score: found.score, rank: found.rank, share: found.share })
    };
    let column = |source: &String| {
        scored.iter().zip(&items).map(|(candidate, item)| hit(source, candidate, *item)).collect()
    };
    let hits = sources.iter().map(column).collect();
    Some(Pool { sources, items, hits })
}

impl Loaded {
    fn indexes(&mut self, job: &Job, digest: &str) -> Result<Found<Arc<Indexes>>, Error> {
        if let Some(known) = self.indexes.get(digest) {
            return Ok(known.clone());
        }
        let found = (job.indexes)(digest)?;
        Ok(self.indexes.entry_ref(digest).or_insert(found).clone())
    }

    fn bundle(&mut self, job: &Job, digest: &str) -> Result<Found<Arc<dyn Bundle>>, Error> {
        if let Some(known) = self.bundles.get(digest) {
            return Ok(known.clone());
        }
        let found = (job.bundle)(digest)?;
        Ok(self.bundles.entry_ref(digest).or_insert(found).clone())
    }

    fn vectors(
        &mut self,
        indexes_digest: &str,
        bundle_digest: &str,
        indexes: &Indexes,
        bundle: &Arc<dyn Bundle>,
    ) -> Option<Arc<Vectors>> {
        let align = || {
            let embedding = bundle.embedding()?;
            Some(Arc::new(Vectors::align(&indexes.catalogue, &*embedding)))
        };
        let key = (indexes_digest.to_owned(), bundle_digest.to_owned());
        self.vectors.entry(key).or_insert_with(align).clone()
    }
}
