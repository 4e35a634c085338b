//! The judge: every key of every lane against the naive reference.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use definitions::{Lane, Reason};
use fold::{Ledger, Plan, StateKey, encode_values};
use record::EventTime;
use reference::{Admission, Admitted, Broken, Value, Verdict};

use super::events::{Events, Fate, Sent};
use super::plain::{self, Found, PARTITIONS};
use super::row::row;
use super::stood::Stood;
use super::store::{States, Store};

#[path = "../../reference/as_fold.rs"]
mod as_fold;

const DAY_US: i64 = 86_400_000_000;
/// Differences that are told in full.
const TOLD_MAX: usize = 5;

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    records: usize,
    keys: usize,
    /// Records that the oracle applies and the product has not.
    lost: u64,
    /// Records that the product has applied and the oracle does not.
    doubled: u64,
    differences: usize,
    told: Vec<String>,
    /// Ids of what has to lie in topics `late` and `dead-letter`.
    letters: [BTreeSet<String>; 2],
}

const TOPICS_OF_LETTERS: [&str; 2] = ["late", "dead-letter"];

impl Outcome {
    /// Compares what lies in the topics of late records and dead letters: each at least once, and no other.
    pub(super) fn with_letters(mut self, bootstrap: &str) -> Self {
        let letters = std::mem::take(&mut self.letters);
        assert!(letters.iter().all(|wanted| !wanted.is_empty()), "this does not bite");
        for (topic, wanted) in TOPICS_OF_LETTERS.into_iter().zip(&letters) {
            let found: BTreeSet<String> = plain::read(bootstrap, topic)
                .into_iter()
                .flatten()
                .map(|found| id(&found))
                .collect();
            for id in wanted.difference(&found) {
                self.lost += 1;
                self.differs(|| format!("topic {topic} lacks {id}"));
            }
            for id in found.difference(wanted) {
                self.differs(|| format!("topic {topic} has {id}, the oracle does not"));
            }
        }
        self.letters = letters;
        self
    }

    fn differs(&mut self, what: impl FnOnce() -> String) {
        self.differences += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }

    /// Prints the row of results and fails unless everything is as it must be.
    pub(super) fn assert_exact(&self, test: &str, seed: u64, dose: &str, stood: &Stood) {
        let Self { records, keys, lost, doubled, differences, told, .. } = self;
        let cells = [*records as u64, *keys as u64, *lost, *doubled, *differences as u64];
        row(test, seed, dose, &cells.map(|cell| cell.to_string()), stood);
        assert_eq!((*lost, *doubled, *differences), (0, 0, 0), "{told:#?}");
        assert!(*keys > 0, "nothing was compared");
    }
}

/// Id of a late record or dead letter.
fn id(letter: &Found) -> String {
    let object: serde_json::Value = serde_json::from_slice(&letter.value).unwrap();
    object["id"].as_str().unwrap().to_owned()
}

/// An event as a lane sees it.
#[derive(Clone)]
struct Row<'a> {
    sent: &'a Sent,
    append_ms: i64,
    by_item: bool,
    columns: &'a [Column],
}

type Column = fn(&Sent) -> Option<Value>;

/// The lanes' expressions in other words.
fn column(sql: &str) -> Column {
    fn weight(of: [i64; 3], sent: &Sent) -> Option<Value> {
        let place = ["view", "cart", "purchase"].iter().position(|kind| *kind == sent.kind);
        Some(Value::Int(of[place.unwrap()]))
    }
    match sql {
        "kind = 'view'" => |sent| Some(Value::Bool(sent.kind == "view")),
        "kind = 'cart'" => |sent| Some(Value::Bool(sent.kind == "cart")),
        "kind = 'purchase'" => |sent| Some(Value::Bool(sent.kind == "purchase")),
        "kind" => |sent| Some(Value::Text(sent.kind.into())),
        "item_id" => |sent| Some(Value::Text(sent.item.as_str().into())),
        "category" => |sent| sent.category.as_deref().map(|text| Value::Text(text.into())),
        // In hundredths, as the sum counts.
        "price_cents * coalesce(quantity, 1) / 100.0" => {
            |sent| Some(Value::Int(sent.price_cents * sent.quantity.unwrap_or(1)))
        }
        sql if sql.starts_with("CASE kind WHEN 'view' THEN 1") => |sent| weight([1, 3, 5], sent),
        sql if sql.starts_with("CASE kind WHEN 'purchase' THEN 5") => {
            |sent| weight([1, 3, 5], sent)
        }
        other => panic!("the oracle does not know `{other}`: say here what it means"),
    }
}

impl reference::Event for Row<'_> {
    fn id(&self) -> &str {
        &self.sent.id
    }
    fn key(&self) -> &str {
        &self.sent.visitor
    }
    fn sent(&self) -> i64 {
        self.sent.at_us
    }
    fn append_ms(&self) -> i64 {
        self.append_ms
    }
    fn rejected(&self) -> Option<Reason> {
        self.sent.rejected(self.by_item)
    }
    fn passes(&self, column: usize) -> bool {
        self.value(column) == Some(Value::Bool(true))
    }
    fn value(&self, column: usize) -> Option<Value> {
        self.columns[column](self.sent)
    }
}

type KeyAndValue<'a> = (&'a [u8], &'a [u8]);

/// Compares the store with the log and the ledger of who sent it. The log must hold what the ledger says,
/// each record as often as it was sent, or, where senders retry (`retried`), at least once.
pub(super) fn compare(
    store: &Store,
    log: &[Vec<Found>],
    events: &Events,
    retried: bool,
) -> Outcome {
    let mut outcome = Outcome { records: log.iter().map(Vec::len).sum(), ..Outcome::default() };
    let mut ledger: HashMap<KeyAndValue<'_>, (&Sent, i64)> = HashMap::new();
    for sent in &events.sent {
        ledger.entry((&sent.key, &sent.value)).or_insert((sent, 0)).1 += 1;
    }
    let mut logged: Vec<Vec<(u64, i64, &Sent)>> = Vec::new();
    for partition in log {
        let mut records = Vec::with_capacity(partition.len());
        for found in partition {
            let known = ledger.get_mut(&(found.key.as_slice(), found.value.as_slice()));
            let (sent, left) = known.expect("the log holds what somebody sent");
            *left -= 1;
            records.push((found.offset, found.append_ms, *sent));
        }
        logged.push(records);
    }
    for (sent, left) in ledger.values() {
        if *left > 0 || (*left < 0 && !retried) {
            outcome.lost += (*left).max(0).unsigned_abs();
            outcome.doubled += (-*left).max(0).unsigned_abs();
            outcome.differs(|| format!("{}: {left} times too few in the log", sent.id));
        }
    }
    let mut claimed = BTreeMap::new();
    for lane in &store.lanes {
        let columns: Vec<Column> = lane.expressions.iter().map(|e| column(&e.sql)).collect();
        let by_item = !lane.is_stream_keyed();
        for partition in 0..PARTITIONS {
            let records = &logged[partition as usize];
            let rows = records.iter().map(|(offset, append_ms, sent)| {
                (*offset, Row { sent, append_ms: *append_ms, by_item, columns: &columns })
            });
            let admission = reference::admit(&lane.source, rows, Broken::default());
            for ((offset, ..), verdict) in records.iter().zip(&admission.verdicts) {
                let of = match verdict {
                    Verdict::Late => 0,
                    Verdict::DeadLettered(_) => 1,
                    Verdict::Applied | Verdict::Duplicate => continue,
                };
                outcome.letters[of].insert(format!("{}/{partition}/{offset}", lane.id));
            }
            let expected = expected(&admission);
            let sum: &mut Ledger = claimed.entry(by_item).or_default();
            *sum = add(*sum, expected);
            let end = records.last().map_or(0, |(offset, _, _)| offset + 1);
            let (head, states) = store.scan(lane, partition);
            let at = format!("{} partition {partition}", lane.entity);
            head_differs(&mut outcome, &at, head, (end, admission.watermark, expected));
            let times = [0, 2 * DAY_US, 8 * DAY_US].map(|later| events.end_us() + later);
            states_differ(&mut outcome, lane, &at, &states, &admission, &times);
        }
    }
    // The oracle and who made the events agree on what becomes of them.
    for (by_item, expected) in claimed {
        let meant = meant(events, by_item);
        if !retried && meant != expected {
            outcome.differs(|| format!("meant to be {meant:?}, the oracle says {expected:?}"));
        }
    }
    outcome
}

fn expected(admission: &Admission<Row<'_>>) -> Ledger {
    let mut ledger = Ledger::default();
    admission.verdicts.iter().for_each(|verdict| match verdict {
        Verdict::Applied => ledger.applied += 1,
        Verdict::Duplicate => ledger.duplicate += 1,
        Verdict::Late => ledger.late += 1,
        Verdict::DeadLettered(_) => ledger.dead_lettered += 1,
    });
    ledger
}

fn add(a: Ledger, b: Ledger) -> Ledger {
    Ledger {
        applied: a.applied + b.applied,
        duplicate: a.duplicate + b.duplicate,
        late: a.late + b.late,
        dead_lettered: a.dead_lettered + b.dead_lettered,
    }
}

/// What the fates say.
fn meant(events: &Events, by_item: bool) -> Ledger {
    let other = if by_item { Fate::Huge } else { Fate::NoItem };
    let dead = if by_item { Fate::NoItem } else { Fate::Huge };
    Ledger {
        applied: events
            .count(|fate| fate == Fate::New || fate == Fate::OutOfOrder || fate == other),
        duplicate: events.count(|fate| fate == Fate::Copy),
        late: events.count(|fate| fate == Fate::Late),
        dead_lettered: events.count(|fate| matches!(fate, Fate::Poison(_)) || fate == dead),
    }
}

fn head_differs(
    outcome: &mut Outcome,
    at: &str,
    head: Option<fold::Head>,
    (end, watermark, ledger): (u64, Option<i64>, Ledger),
) {
    let Some(head) = head else {
        if end > 0 {
            outcome.lost += ledger.applied;
            outcome.differs(|| format!("{at}: no head"));
        }
        return;
    };
    outcome.lost += ledger.applied.saturating_sub(head.ledger.applied);
    outcome.doubled += head.ledger.applied.saturating_sub(ledger.applied);
    let found = (head.next.0, head.watermark.0, head.ledger);
    let wanted = (end, watermark.unwrap_or(i64::MIN), ledger);
    if found != wanted {
        outcome.differs(|| format!("{at}: {found:?}, the oracle says {wanted:?}"));
    }
}

fn states_differ(
    outcome: &mut Outcome,
    lane: &Arc<Lane>,
    at: &str,
    states: &States,
    admission: &Admission<Row<'_>>,
    times: &[i64],
) {
    let by_item = !lane.is_stream_keyed();
    let mut entities: BTreeMap<&str, Vec<Admitted<Row<'_>>>> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for seen in &admission.admitted {
        let sent = seen.event.sent;
        let entity = if by_item { &sent.item } else { &sent.visitor };
        entities.entry(entity).or_default().push(seen.clone());
        keys.insert(StateKey::entity(lane, entity));
        keys.insert(StateKey::stream(&sent.visitor));
    }
    for key in states.keys().collect::<BTreeSet<_>>().symmetric_difference(&keys.iter().collect()) {
        outcome.differs(|| format!("{at}: only one of store and oracle knows {key:?}"));
    }
    let plan = Plan::new(lane);
    for (entity, events) in entities {
        outcome.keys += 1;
        let Some(bytes) = states.get(&StateKey::entity(lane, entity)) else { continue };
        let state = plan.decode(bytes).unwrap();
        for t in times {
            let found = state.values_at(EventTime(*t), None);
            let features = 0..lane.features.len();
            let of = |f| reference::value(lane, f, &events, *t, &|_| None, Broken::default());
            let wanted: Vec<fold::Value> = features.map(of).map(as_fold::value).collect();
            if encode_values(&found) != encode_values(&wanted) {
                outcome.differs(|| {
                    format!("{at} {entity} at {t}: {found:?}, the oracle says {wanted:?}")
                });
                break;
            }
        }
    }
}
