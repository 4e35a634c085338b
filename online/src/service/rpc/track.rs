use std::collections::BTreeMap;
use std::sync::Arc;

use definitions::decode::Decoder;
use definitions::{Lane, Rejection, Source};
use event_log::{Appended, NewRecord, Topic};
use record::{AppendTime, Offset, Partition, Record, Trace, partition_for_key};
use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use wire::v1;
use wire::v1::track_status::Code;
use wire::v1::tracker_server::Tracker;

use super::recommend::client;
use crate::busy::busy;
use crate::service::calls::{Call, Method, Outcome};
use crate::service::clip::quoted;
use crate::service::core::Core;
use crate::service::metrics::Metrics;
use crate::service::status::Refusal;
use crate::service::trace::{self, TARGET};
use crate::service::validate::Violations;

/// Events of one call.
const EVENTS_MAX: usize = 500;
/// Payload bytes of one call.
const BYTES_MAX: usize = 1024 * 1024;

/// A detail may quote what was found; a person reads no more than this.
const DETAIL_BYTES_MAX: usize = 500;

/// `Tracker`.
pub(in crate::service) struct TrackerRpc(pub(in crate::service) Arc<Core>);

#[tonic::async_trait]
impl Tracker for TrackerRpc {
    async fn track(
        &self,
        request: Request<v1::TrackRequest>,
    ) -> Result<Response<v1::TrackResponse>, Status> {
        let call = Call::begin(&self.0.metrics, Method::Track);
        let answer = self.answer(request).await;
        call.end(answer.as_ref().map_or_else(Outcome::from, |_| Outcome::Answered(None)));
        Ok(Response::new(answer?))
    }
}

impl TrackerRpc {
    async fn answer(
        &self,
        request: Request<v1::TrackRequest>,
    ) -> Result<v1::TrackResponse, Refusal> {
        let core = &self.0;
        let _permit = core.shedder.admit(client(&request))?;
        let trace = trace::of_call(request.metadata(), &core.entropy);
        let span = trace::span(Method::Track.as_str(), &trace);
        let events = request.into_inner().events;
        check(&events)?;
        let statuses = track(core, events, &trace).instrument(span).await?;
        let count = |code: Code| statuses.iter().filter(|s| s.code() == code).count() as u64;
        Metrics::add(&core.metrics.track_ok, count(Code::Ok));
        Metrics::add(&core.metrics.track_invalid, count(Code::Invalid));
        Metrics::add(&core.metrics.track_unavailable, count(Code::Unavailable));
        Ok(v1::TrackResponse { statuses })
    }
}

fn check(events: &[v1::Event]) -> Result<(), Refusal> {
    let mut wrong = Violations::default();
    if events.is_empty() {
        wrong.add("events", "is empty: send at least one event");
    }
    if events.len() > EVENTS_MAX {
        let count = events.len();
        wrong.add("events", format!("{count} events, the limit is {EVENTS_MAX}: split the call"));
    }
    let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
    if bytes > BYTES_MAX {
        wrong.add("events", format!("{bytes} bytes, the limit is {BYTES_MAX}: split the call"));
    }
    wrong.into_result()
}

/// Judges each event as the updater's lanes will, appends what at least one of them will count and waits for
/// it to be durable.
async fn track(
    core: &Core,
    events: Vec<v1::Event>,
    trace: &Trace,
) -> Result<Vec<v1::TrackStatus>, Refusal> {
    let mut statuses: Vec<Option<v1::TrackStatus>> = vec![None; events.len()];
    let mut by_source: BTreeMap<String, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
    for (at, event) in events.into_iter().enumerate() {
        by_source.entry(event.source).or_default().push((at, event.payload));
    }
    for (name, events) in by_source {
        let source = core.definitions.sources.iter().find(|source| source.name == name);
        let Some(source) = source else {
            let known: Vec<&str> =
                core.definitions.sources.iter().map(|source| source.name.as_str()).collect();
            let detail = format!("no source {}: there are {}", quoted(&name), known.join(", "));
            for (at, _) in events {
                statuses[at] = Some(status(Code::Invalid, &detail));
            }
            continue;
        };
        let topic = core.topics.get(&source.topic);
        let topic = topic.ok_or_else(|| {
            Refusal::Unavailable(format!("topic {} has no lane in this service", source.topic))
        })?;
        for (at, outcome) in append(core, source, *topic, events, trace).await {
            statuses[at] = Some(outcome);
        }
    }
    Ok(statuses.into_iter().map(|s| s.expect("every event belongs to one source")).collect())
}

async fn append(
    core: &Core,
    source: &Arc<Source>,
    topic: Topic,
    events: Vec<(usize, Vec<u8>)>,
    trace: &Trace,
) -> Vec<(usize, v1::TrackStatus)> {
    let now = core.clock.append_time();
    let mut outcomes = Vec::with_capacity(events.len());
    let mut good: Vec<((usize, Vec<v1::LaneRefusal>), NewRecord)> =
        Vec::with_capacity(events.len());
    let lanes = core.definitions.lanes();
    let judged = busy(events.len(), || judge(source, &lanes, topic, now, events));
    for (at, record, refusal) in judged {
        let refused_by = match refusal {
            Some(fold::Refusal::Whole(rejection)) => {
                outcomes.push((at, status(Code::Invalid, &detail(&rejection))));
                continue;
            }
            Some(fold::Refusal::Partial(lanes)) => lanes.into_iter().map(by_lane).collect(),
            None => Vec::new(),
        };
        let trace = Some(Box::new(trace.clone()));
        good.push(((at, refused_by), NewRecord { key: record.key, value: record.value, trace }));
    }
    if good.is_empty() {
        return outcomes;
    }
    let (places, records): (Vec<_>, Vec<NewRecord>) = good.into_iter().unzip();
    match core.log.append(&source.topic, records).await {
        Ok(appended) => {
            let mut appended = appended.into_iter();
            outcomes.extend(places.into_iter().map(|(at, refused_by)| match appended.next() {
                Some(Ok(appended)) => {
                    let accepted = accepted(source, topic, appended);
                    (at, v1::TrackStatus { refused_by, ..accepted })
                }
                Some(Err(error)) => (at, refused(&error)),
                None => (at, status(Code::Unavailable, "the log gave no outcome")),
            }));
        }
        Err(error) => outcomes.extend(places.into_iter().map(|(at, _)| (at, refused(&error)))),
    }
    outcomes
}

/// Each event as a record, and which lanes would make a dead letter of it, wherever the record alone decides
/// that.
fn judge(
    source: &Arc<Source>,
    lanes: &[Arc<Lane>],
    topic: Topic,
    now: AppendTime,
    events: Vec<(usize, Vec<u8>)>,
) -> Vec<(usize, Record, Option<fold::Refusal>)> {
    let mut by_partition: BTreeMap<Partition, (Vec<usize>, Vec<Record>)> = BTreeMap::new();
    for (at, value) in events {
        let key = key(source, &value);
        let partition = partition_for_key(key.as_bytes(), topic.partitions);
        let (places, records) = by_partition.entry(partition).or_default();
        let offset = Offset(records.len() as u64);
        places.push(at);
        records.push(Record {
            partition,
            offset,
            append_time: now,
            key: key.into_bytes(),
            value,
            trace: None,
        });
    }
    let mut judged = Vec::new();
    for (partition, (places, records)) in by_partition {
        let decoder = Decoder::new(Arc::clone(source), partition, topic.partitions);
        let batch = decoder.decode(&records);
        let mut refusals = fold::refusals(source, lanes, &batch);
        let records = places.into_iter().zip(records).enumerate();
        judged.extend(records.map(|(row, (at, record))| (at, record, refusals.remove(&row))));
    }
    judged
}

fn detail(rejection: &Rejection) -> String {
    let (reason, detail) = (rejection.reason.as_str(), &rejection.detail);
    let shown = &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)];
    format!("{reason}: {shown}")
}

fn by_lane((entity, rejection): (String, Rejection)) -> v1::LaneRefusal {
    v1::LaneRefusal { entity, detail: detail(&rejection) }
}

/// The stream key that the payload names; empty where it has none, which the decoder refuses.
fn key(source: &Source, payload: &[u8]) -> String {
    let object = serde_json::from_slice::<serde_json::Value>(payload).unwrap_or_default();
    let name = &source.columns[source.key].name;
    object.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn accepted(source: &Source, topic: Topic, appended: Appended) -> v1::TrackStatus {
    let (at, offset) = (appended.partition, appended.offset);
    tracing::debug!(target: TARGET, topic = source.topic, partition = %at, %offset, "appended");
    let position = v1::Position {
        topic: source.topic.clone(),
        log_id: topic.log.0.to_vec(),
        partition: appended.partition.0,
        next: appended.offset.next().0,
    };
    v1::TrackStatus { position: Some(position), ..status(Code::Ok, "") }
}

/// A record that is too large will never be taken; anything else may be tried again.
fn refused(error: &event_log::Error) -> v1::TrackStatus {
    let code = match error {
        event_log::Error::TooLarge { .. } => Code::Invalid,
        _ => Code::Unavailable,
    };
    status(code, &error.to_string())
}

fn status(code: Code, detail: &str) -> v1::TrackStatus {
    v1::TrackStatus { code: code.into(), detail: detail.to_owned(), ..v1::TrackStatus::default() }
}
