//! Training sets *as served*: for each response the candidates that it served, the features at the
//! positions that it recorded, and the first event within a window that followed from it.
//!
//! Features are computed again from the log, by the plan that parity runs; source hits are the
//! record's. An event follows from a response when it carries the response's tracking token (column
//! `tracking_token` of its source): another list with the same item, or a click from elsewhere, is no
//! outcome of it. A response counts only when its window is closed: nothing that happens later, or
//! arrives late, can change its labels.
//!
//! Candidates that were recorded but not served are no rows: nobody saw them, so nothing says that they
//! were not wanted.

use std::path::Path;
use std::sync::Arc;

use candidates::index::Catalogue;
use candidates::joined_row::{Joiner, Request};
use candidates::pool::Pool;
use candidates::source::{Hit, Query};
use definitions::Definitions;
use fold::{Value, decode_values};
use hashbrown::HashMap;
use record::EventTime;
use wire::v1;

use super::manifest::{Made, Tally};
use super::write::{Example, Writer};
use super::{Report, Towers, finish, start};
use crate::history::{Event, History, TRACKING_TOKEN, day_of, text_column};
use crate::parity::replay::{self, Replayed};
use crate::parity::{self, Job, Response};
use crate::plan::Engine;
use crate::{Error, files};

/// What an as-served training set is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the model definition.
    pub model: String,
    /// How long after a response an event is its outcome, in microseconds.
    pub window_us: i64,
    /// Responses at most; the newest ones are kept.
    pub responses_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { model: "ranker".to_owned(), window_us: 30 * 60 * 1_000_000, responses_max: 60_000 }
    }
}

/// Assembles an as-served training set under `root`. The history's source must have a column
/// `tracking_token`, which events that followed from a list carry. Responses that cannot be replayed, were made with
/// other item vectors than `towers`, or whose window is still open are left out and counted in the
/// parity report that comes back beside the set's own.
///
/// # Errors
/// When the source has no such column, when no response can be learned from, or records, plan or disk fail.
pub async fn assemble(
    engine: &Engine,
    job: &Job,
    definitions: &Definitions,
    history: &History,
    root: &Path,
    towers: Option<&Towers>,
    settings: &Settings,
) -> Result<(Report, parity::Report), Error> {
    if text_column(&history.lane, TRACKING_TOKEN).is_none() {
        return Err(Error::Missing {
            what: format!(
                "source {} has no text column `tracking_token`",
                history.lane.source.name
            ),
            remedy: "add `tracking_token = { type = \"string\", optional = true }` to its columns and \
                     send the response's token with what follows from a list; or train with the clock \
                     event-time",
        });
    }
    let model = definitions.compile_model(&settings.model)?;
    let joiner = Joiner::new(definitions, &model, &definitions.lanes())?;
    let mut counted = parity::Report::default();
    let mut responses = parity::responses(job, &mut counted).await?;
    counted.responses = responses.len() as u64;
    let digest = towers.map_or_else(String::new, |t| files::hex(&t.embedding.digest()));
    let closed = closed_to(history, settings.window_us);
    responses.retain(|response| {
        let reason = if response.served.embedding != digest {
            "other_embedding"
        } else if response.as_of_us() > closed {
            "window_open"
        } else {
            return true;
        };
        counted.skip(reason);
        false
    });
    for response in &mut responses {
        response.served.candidates.retain(|candidate| candidate.position > 0);
    }
    responses.sort_by_key(|r| (r.as_of_us(), r.partition, r.offset));
    let left_out = responses.len().saturating_sub(settings.responses_max);
    responses.drain(..left_out);
    let first = responses.first().map(Response::as_of_us);
    if let (Some(towers), Some(first)) = (towers, first) {
        super::refuse_future(towers, EventTime(first))?;
    }
    let mut visitors = Vec::new();
    for lane in joiner.visitor_lanes() {
        visitors.push(replay::visitors(engine, job, lane, &responses, &mut counted).await?);
    }
    let mut items = Vec::new();
    for lane in joiner.item_lanes() {
        items.push(replay::items(engine, job, lane, &responses, &mut counted).await?);
    }
    let (aside, mut tally) = (start(root, &settings.model)?, Tally::default());
    let mut writer = Writer::create(&aside, &model.model.inputs)?;
    let same_indexes = |a: &Response, b: &Response| {
        day_of(EventTime(a.as_of_us())) == day_of(EventTime(b.as_of_us()))
            && a.served.snapshots == b.served.snapshots
    };
    let mut at = 0;
    for day in responses.chunk_by(same_indexes) {
        let rows = at..at + day.len();
        at = rows.end;
        let digest = day[0].served.snapshots.get("indexes").cloned().unwrap_or_default();
        let indexes = match (job.indexes)(&digest)? {
            Ok(indexes) => indexes,
            Err(reason) => {
                day.iter().for_each(|_| counted.skip(reason));
                continue;
            }
        };
        for (response, n) in day.iter().zip(rows) {
            // What cannot be replayed was counted where that was found out.
            let Some(visitor) = visitor(&visitors, n)? else { continue };
            let of_others =
                history.tracked(token(response)).filter(|e| !is_by(history, e, response));
            of_others.for_each(|_| counted.skip("outcome_of_another_visitor"));
            let Some((kind, target)) = target(history, response, settings.window_us) else {
                tally.without_target += 1;
                continue;
            };
            let pool = pool(&model.model.sources, &indexes.catalogue, &response.served.candidates);
            let Some(values) = item_values(&items, n, pool.items.len())? else { continue };
            let visitor: Vec<&[Value]> = visitor.iter().map(Vec::as_slice).collect();
            let query =
                Query::of_visitor(&visitor, Vec::new(), response.as_of_us(), <[f32]>::to_vec);
            // What the table did not know was null to the model, not a default.
            let candidates = &response.served.candidates;
            let item = |lane: usize, row: usize| match candidates[row].item_features.is_empty() {
                true => &[][..],
                false => values[lane][row].as_slice(),
            };
            let joined = joiner.join(Request::of(&query), &visitor, item, &pool);
            let (inputs, failed) = model.evaluate(&joined);
            tally.failed += failed.len() as u64;
            let ids = response.served.candidates.iter().map(|c| c.item_id.as_str().into());
            let at = EventTime(response.as_of_us());
            let example = Example { at, items: ids.collect(), target, kind, inputs };
            tally.count(&example);
            writer.push(&example)?;
        }
        tally.served_day(day, &indexes);
    }
    if tally.is_empty() {
        std::fs::remove_dir_all(&aside).map_err(Error::io(&aside))?;
        return Err(Error::Missing {
            what: nothing_learned(&counted),
            remedy: "serve more, and wait until the outcomes' window is closed",
        });
    }
    let made = Made { clock: "as_served", model: &model.model, towers, left_out: left_out as u64 };
    let manifest = tally.manifest(&made, None, writer.close()?);
    Ok((finish(root, &aside, manifest)?, counted))
}

/// Why there is no example, by reason.
fn nothing_learned(counted: &parity::Report) -> String {
    let reasons: Vec<String> =
        counted.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    match reasons.is_empty() {
        true => "no response can be learned from: there is none on record".to_owned(),
        false => format!("no response can be learned from: skipped {}", reasons.join(", ")),
    }
}

/// The last `as_of` whose window is closed in every partition that has events.
fn closed_to(history: &History, window_us: i64) -> i64 {
    let mut greatest: HashMap<_, i64> = HashMap::new();
    for event in &history.events {
        let at = greatest.entry(event.partition).or_insert(i64::MIN);
        *at = (*at).max(event.at.0);
    }
    let watermark = greatest.values().min().copied().unwrap_or(i64::MIN);
    // The watermark is the greatest time less the lateness, and the window waits for the lateness.
    watermark.saturating_sub(window_us + 2 * history.lane.source.allowed_lateness_us)
}

/// The token that what follows from a response carries; no event carries an empty one.
fn token(response: &Response) -> &str {
    response.served.response.as_ref().map_or("", |answer| &answer.tracking_token)
}

/// Whether the visitor who was answered did it: a link that was passed on carries the token along, and
/// what somebody else chose teaches nothing about the one whose features are on record.
fn is_by(history: &History, event: &Event, response: &Response) -> bool {
    *history.visitors[event.visitor as usize] == *response.visitor()
}

/// The first event within the window that followed from the response and is on one of its candidates:
/// its kind and the candidate's row.
fn target(history: &History, response: &Response, window_us: i64) -> Option<(Arc<str>, usize)> {
    let from = EventTime(response.as_of_us());
    let followed = history.tracked(token(response)).filter(|e| is_by(history, e, response));
    let mut within = followed.filter(|e| e.at > from && e.at <= from.plus(window_us));
    within.find_map(|event| {
        let item = &*history.items[event.item as usize];
        let row = response.served.candidates.iter().position(|c| c.item_id == item)?;
        Some((Arc::clone(&history.kinds[usize::from(event.kind)]), row))
    })
}

fn visitor(lanes: &[Replayed], response: usize) -> Result<Option<Vec<Vec<Value>>>, Error> {
    let rows = lanes.iter().map(|lane| lane.rows(response)?.next());
    let Some(rows) = rows.collect::<Option<Vec<_>>>() else { return Ok(None) };
    Ok(Some(rows.into_iter().map(decode_values).collect::<Result<_, _>>()?))
}

type Rows = Vec<Vec<Vec<Value>>>;

fn item_values(lanes: &[Replayed], response: usize, count: usize) -> Result<Option<Rows>, Error> {
    let mut values = Vec::with_capacity(lanes.len());
    for lane in lanes {
        let Some(rows) = lane.rows(response) else { return Ok(None) };
        let decoded: Vec<Vec<Value>> = rows.map(decode_values).collect::<Result<_, _>>()?;
        if decoded.len() != count {
            return Ok(None);
        }
        values.push(decoded);
    }
    Ok(Some(values))
}

/// The recorded hits as the joined row takes them.
fn pool(sources: &[String], catalogue: &Catalogue, candidates: &[v1::ServedCandidate]) -> Pool {
    let item = |candidate: &v1::ServedCandidate| catalogue.ordinal(&candidate.item_id);
    let items: Vec<u32> = candidates.iter().map(|c| item(c).unwrap_or(u32::MAX)).collect();
    let hits = sources.iter().map(|source| {
        let hit = |(candidate, item): (&v1::ServedCandidate, &u32)| {
            let hit = candidate.sources.iter().find(|hit| hit.source == *source)?;
            Some(Hit { item: *item, score: hit.score, rank: hit.rank, share: hit.share })
        };
        candidates.iter().zip(&items).map(hit).collect()
    });
    Pool { sources: sources.to_vec(), hits: hits.collect(), items }
}
