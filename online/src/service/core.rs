//! The core: from a checked request to an answer, without gRPC.

use std::sync::{Arc, OnceLock};

use candidate_pipeline::{Pipeline, Run, Selection, SideEffect, Verdict, run_side_effects};
use candidates::source;
use event_log::{EventLog, Topic};
use hashbrown::HashMap;
use record::{EventTime, Trace};
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use tokio::time::Instant;
use wire::v1;

use super::attribute::Attributes;
use super::catch_up::Waits;
use super::context;
use super::cursor::{self, Cursor, Signer};
use super::lanes::LaneReader;
use super::metrics::Metrics;
use super::query::{Candidate, Query, Visitor, fingerprint};
use super::reason::reason;
use super::settings::Settings;
use super::shed::Shedder;
use super::side_effects::{Done, source_hits};
use super::status::Refusal;
use super::tables::{Snapshot, Tables};
use super::trace::TARGET;
use super::{hex, validate};
use crate::item_table::ItemTable;
use crate::updater;

/// The experiment that an evaluation turns the model off with: arm `off`.
pub const MODEL_EXPERIMENT: &str = "model";

/// Everything that a request is answered with.
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) pipeline: Pipeline<Query, Candidate>,
    pub(super) effects: Vec<Arc<dyn SideEffect<Done>>>,
    pub(super) sources: Arc<[String]>,
    pub(super) visitor_lanes: Arc<LaneReader>,
    pub(super) all_lanes: LaneReader,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) definitions: Arc<definitions::Definitions>,
    /// Topics of the lanes, by name.
    pub(super) topics: HashMap<String, Topic>,
    pub(super) item_table: ItemTable,
    /// Features of items that may be filtered by, in the item table.
    pub(super) attributes: Attributes,
    pub(super) tables: Tables,
    /// What of the lanes is waited for.
    pub(super) waits: Waits,
    pub(super) updater: Option<updater::Handle>,
    pub(super) shedder: Arc<Shedder>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) signer: Signer,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
}

impl Core {
    /// Why nothing can be answered yet, if so.
    pub(super) fn not_ready(&self) -> Option<&'static str> {
        if self.tables.current().indexes.is_none() {
            return Some("no candidate indexes yet: run `twofold backfill`");
        }
        *self.waits.borrow()
    }

    /// Refuses what cannot be answered yet.
    pub(super) fn ready(&self) -> Result<(), Refusal> {
        self.not_ready().map_or(Ok(()), |why| Err(Refusal::Unavailable(why.to_owned())))
    }

    /// Answers by `deadline`, as part of `trace`.
    pub(super) async fn recommend(
        &self,
        request: v1::RecommendRequest,
        deadline: Instant,
        trace: Trace,
    ) -> Result<v1::RecommendResponse, Refusal> {
        let k = validate::recommend(&request, &self.settings, &self.attributes, &self.topics)?;
        self.ready()?;
        let (query, mut degradations) = self.query(request, k)?;
        let run = self.pipeline.run(query, deadline).await;
        self.metrics.took(run.outcomes.0.iter().map(|o| (label(o.verb, &o.stage), o.took)));
        for outcome in run.outcomes.degraded() {
            degradations.push(Degraded {
                stage: format!("{}/{}", outcome.verb, outcome.stage),
                kind: outcome.verdict.kind(),
                cause: outcome.verdict.cause().to_owned(),
            });
        }
        if run.fell_back {
            degradations.push(fell_back(&run));
        }
        for Degraded { stage, kind, cause } in &degradations {
            self.metrics.degraded(stage, kind, cause);
        }
        let response = self.response(&run, degradations);
        self.count(&response);
        let Run { query, selection, .. } = run;
        let candidates = selection.selected.len() + selection.rest.len();
        Metrics::add(&self.metrics.candidates, candidates as u64);
        tracing::debug!(
            target: TARGET,
            request_id = response.request_id,
            tier = response.tier().as_str_name(),
            "answered"
        );
        let Selection { selected, rest } = selection;
        let done = Done { query, selected, rest, response, trace };
        let done = Arc::new(done);
        run_side_effects(&self.effects, &done);
        Ok(done.response.clone())
    }

    fn query(
        &self,
        request: v1::RecommendRequest,
        k: usize,
    ) -> Result<(Query, Vec<Degraded>), Refusal> {
        let mut degradations = Vec::new();
        let mut degraded = |stage: &str, kind, cause: &str| {
            let (stage, cause) = (stage.to_owned(), cause.to_owned());
            degradations.push(Degraded { stage, kind, cause });
        };
        if !request.user_id.is_empty() {
            degraded("identity", "unmerged", "identity_unmerged");
        }
        let mut as_of = request.as_of_us.map_or_else(|| self.clock.now(), EventTime);
        let mut snapshot = self.tables.current();
        let mut earlier_pages = hashbrown::HashSet::new();
        if !request.cursor.is_empty() {
            let pinned =
                self.signer.read(&request.cursor, &request.visitor_id, &request.surface)?;
            as_of = pinned.as_of;
            match self.tables.pinned(&pinned.bundle) {
                Some(earlier) => snapshot = earlier,
                None => degraded("cursor", "gone", "the bundle of the earlier page is gone"),
            }
            earlier_pages = pinned.items;
        }
        if let Some((kind, cause)) = context::missing(&request, &snapshot) {
            degraded("context", kind, cause);
        }
        let reads = self.visitor_lanes.lanes().enumerate();
        let visitor = Visitor {
            reads: reads
                .map(|(at, _)| self.visitor_lanes.unread(at, &request.visitor_id))
                .collect(),
            values: Arc::new(vec![Vec::new(); self.visitor_lanes.lanes().count()]),
            stale: false,
        };
        let items = self.item_table.current();
        let items_stale = self.item_table.is_stale(&items, self.clock.now());
        if items_stale {
            degraded("item_table", "stale", "stale");
        }
        let asked = source::Query {
            context_items: request.context_item_ids.iter().map(|id| id.as_str().into()).collect(),
            as_of_us: as_of.0,
            ..source::Query::default()
        };
        let off = request.arm_overrides.get(MODEL_EXPERIMENT).is_some_and(|arm| arm == "off");
        let query = Query {
            k,
            as_of,
            snapshot,
            items,
            items_stale,
            sources: Arc::clone(&self.sources),
            earlier_pages,
            model_off: off,
            visitor,
            asked,
            found: OnceLock::new(),
            request,
        };
        Ok((query, degradations))
    }

    fn response(
        &self,
        run: &Run<Query, Candidate>,
        degradations: Vec<Degraded>,
    ) -> v1::RecommendResponse {
        let query = &run.query;
        let name = self.attributes.get("name").map(|name| name.at);
        let items =
            run.selection.selected.iter().zip(1..).map(|(item, position)| v1::RecommendedItem {
                item_id: query.id(item).to_string(),
                position,
                score: item.score,
                sources: source_hits(query, item),
                reason: reason(query, item, name),
                rule_ids: Vec::new(),
                propensity: None,
            });
        let request_id = match query.request.request_id.as_str() {
            "" => hex(&self.entropy.bytes::<16>()),
            given => given.to_owned(),
        };
        v1::RecommendResponse {
            items: items.collect(),
            request_id,
            tracking_token: hex(&self.entropy.bytes::<16>()),
            next_cursor: self.next_cursor(run),
            as_of_us: query.as_of.0,
            tier: tier(run).into(),
            degradations: degradations.into_iter().map(Into::into).collect(),
            bundle: digest(&query.snapshot),
            arms: query.request.arm_overrides.clone(),
            stale: query.visitor.stale || !self.items_cover(query),
            left_out: left_out(run),
        }
    }

    /// Whether the item table covers the positions wanted of topics that no visitor lane reads.
    fn items_cover(&self, query: &Query) -> bool {
        let is_visitors =
            |topic: &str| self.visitor_lanes.lanes().any(|lane| lane.source.topic == topic);
        let wanted = query.request.min_positions.iter().filter(|p| !is_visitors(&p.topic));
        wanted.into_iter().all(|wanted| {
            let lanes = query.items.lanes().iter();
            let ids: Vec<_> = lanes
                .filter(|lane| lane.source.topic == wanted.topic)
                .map(|lane| lane.id)
                .collect();
            let of_lane = |read: &&crate::item_table::LaneRead| {
                ids.contains(&read.lane) && read.partition.0 == wanted.partition
            };
            let mut reads = query.items.reads().iter().filter(of_lane);
            reads.all(|read| read.head.as_ref().is_some_and(|head| head.next.0 >= wanted.next))
        })
    }

    /// Empty where nothing is left for another page.
    fn next_cursor(&self, run: &Run<Query, Candidate>) -> String {
        let query = &run.query;
        let mut items = query.earlier_pages.clone();
        items.extend(run.selection.selected.iter().map(|item| fingerprint(query.id(item))));
        if run.selection.rest.is_empty() || items.len() > cursor::ITEMS_MAX {
            return String::new();
        }
        let cursor = Cursor { as_of: query.as_of, bundle: digest(&query.snapshot), items };
        self.signer.sign(&cursor, &query.request.visitor_id, &query.request.surface)
    }

    fn count(&self, response: &v1::RecommendResponse) {
        self.metrics.tiers.add(response.tier().as_str_name());
        Metrics::add(&self.metrics.stale, u64::from(response.stale));
        Metrics::add(&self.metrics.empty, u64::from(response.items.is_empty()));
        for left_out in &response.left_out {
            self.metrics.short.add(&left_out.filter);
        }
    }
}

/// What an answer has to do without.
struct Degraded {
    stage: String,
    /// One of a few words.
    kind: &'static str,
    /// For whoever asked.
    cause: String,
}

impl From<Degraded> for v1::Degradation {
    fn from(Degraded { stage, cause, .. }: Degraded) -> Self {
        Self { stage, cause }
    }
}

/// Why the popular items answered.
fn fell_back(run: &Run<Query, Candidate>) -> Degraded {
    let mut found = run.outcomes.0.iter().filter(|outcome| outcome.verb == "source");
    let (kind, cause) = match found.any(|outcome| outcome.candidates > 0) {
        true => ("filtered", "the filters left none of the candidates"),
        false => ("none", "the sources gave no candidate"),
    };
    Degraded { stage: "candidates".to_owned(), kind, cause: cause.to_owned() }
}

fn digest(snapshot: &Snapshot) -> String {
    snapshot.bundle.as_ref().map_or_else(String::new, |bundle| bundle.digest.clone())
}

/// What the filters left out, where the answer is shorter than asked for.
fn left_out(run: &Run<Query, Candidate>) -> Vec<v1::LeftOut> {
    if run.selection.selected.len() >= run.query.k {
        return Vec::new();
    }
    let message = |(filter, candidates): (&str, usize)| v1::LeftOut {
        filter: filter.to_owned(),
        candidates: candidates as u32,
    };
    run.outcomes.left_out().into_iter().map(message).collect()
}

/// How much of the pipeline the answer went through.
fn tier(run: &Run<Query, Candidate>) -> v1::Tier {
    let scored = run.outcomes.of("score", "ranker").map(|outcome| &outcome.verdict);
    if run.fell_back {
        v1::Tier::Popular
    } else if scored != Some(&Verdict::Ok) {
        v1::Tier::Heuristic
    } else if run.query.items_stale || run.outcomes.degraded().next().is_some() {
        v1::Tier::Partial
    } else {
        v1::Tier::Full
    }
}

/// The name that a stage's latency is kept under.
fn label<'a>(verb: &'a str, stage: &'a str) -> &'a str {
    if verb == "hydrate" { verb } else { stage }
}
