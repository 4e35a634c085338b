//! Lanes built by hand with every aggregate in them, random logs with disorder, copies, skewed clocks and
//! broken records, and batches of them.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use definitions::{
    Column, ColumnType, Columns, EventBatch, Group, Lane, LaneFeature, Operation, Reason,
    Rejection, Source, Window,
};
use fold::{Head, LanePartition, StateKey, Verdict};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use record::{AppendTime, EventTime, LaneId, LogId, Offset, Partition};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const LATENESS: i64 = 60 * SECOND;
pub(super) const MAX_FUTURE: i64 = 5 * 60 * SECOND;
/// A multiple of every hop and epoch of the lane, so that boundaries are hit.
pub(super) const BASE: i64 = 1_700_000_000 * SECOND;
pub(super) const TTL: [i64; 2] = [400 * SECOND, 90 * SECOND];
pub(super) const LOG: LogId = LogId([7; 16]);

/// One record, as the tests see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) visitor: String,
    pub(super) item: String,
    pub(super) kind: &'static str,
    pub(super) category: Option<String>,
    pub(super) amount: Option<i64>,
    pub(super) sent: i64,
    pub(super) append_ms: i64,
    /// Why it is rejected: by the decoder, or by the lane's expressions.
    pub(super) broken: Option<Reason>,
}

fn column(name: &str, column_type: ColumnType, optional: bool) -> Column {
    Column { name: name.into(), column_type, optional }
}

fn schema() -> Arc<Schema> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = vec![
        text("event_id"),
        Field::new("event_time", time, true),
        text("visitor_id"),
        text("item_id"),
    ];
    Arc::new(Schema::new(fields))
}

pub(super) fn source() -> Arc<Source> {
    Arc::new(Source {
        name: "clickstream".into(),
        topic: "clickstream".into(),
        file: "sources/clickstream.toml".into(),
        line: 4,
        columns: vec![
            column("event_id", ColumnType::String, false),
            column("event_time", ColumnType::Timestamp, false),
            column("visitor_id", ColumnType::String, false),
            column("item_id", ColumnType::String, true),
        ],
        key: 2,
        event_time: 1,
        event_id: 0,
        allowed_lateness_us: LATENESS,
        max_future_us: MAX_FUTURE,
        earliest_us: i64::MIN,
        schema: schema(),
    })
}

pub(super) fn sliding(window_s: i64, hop_s: i64) -> Window {
    Window::Sliding { window_us: window_s * SECOND, hop_us: hop_s * SECOND }
}

/// Indices of the evaluated columns.
pub(super) const IS_VIEW: usize = 0;
pub(super) const AMOUNT: usize = 1;
pub(super) const CATEGORY: usize = 2;
pub(super) const ITEM: usize = 3;
pub(super) const KIND: usize = 4;
pub(super) const RATIO: usize = 5;
pub(super) const IS_BIG: usize = 6;

/// Every aggregate, with and without filter, in shared and unshared tiles, of two groups.
pub(super) fn operations() -> Vec<(usize, Operation, Option<usize>, Option<f64>)> {
    use Operation::*;
    use Window::Lifetime;
    vec![
        (0, Count { window: Lifetime }, None, None),
        (0, Count { window: sliding(60, 10) }, Some(IS_VIEW), None),
        (0, Count { window: sliding(30, 10) }, Some(IS_VIEW), Some(-1.0)),
        (1, Count { window: sliding(20, 20) }, None, None),
        (0, Sum { value: AMOUNT, scale: 2, window: sliding(120, 20) }, None, None),
        (1, Sum { value: AMOUNT, scale: 0, window: Lifetime }, Some(IS_VIEW), Some(7.5)),
        (0, Last { value: CATEGORY }, None, None),
        (1, Last { value: AMOUNT }, Some(IS_VIEW), None),
        (0, Last { value: RATIO }, None, Some(0.5)),
        (0, Last { value: IS_BIG }, None, None),
        (0, CountBy { by: CATEGORY, limit: 3, window: sliding(60, 20) }, None, None),
        (1, CountBy { by: CATEGORY, limit: 2, window: Lifetime }, Some(IS_VIEW), None),
        (0, InterestVector { over: 13, half_life_us: 30 * SECOND }, None, None),
        (0, Sequence { value: ITEM, tag: Some(KIND), limit: 5 }, None, None),
        (1, Sequence { value: CATEGORY, tag: None, limit: 3 }, Some(IS_VIEW), None),
        (0, DecayedSum { value: Some(AMOUNT), scale: 2, half_life_us: 5 * SECOND }, None, None),
        (1, DecayedSum { value: None, scale: 0, half_life_us: SECOND }, Some(IS_VIEW), None),
        (1, InterestVector { over: 14, half_life_us: SECOND }, None, None),
    ]
}

/// A lane over `operations`, keyed by the visitor or by the item.
pub(super) fn lane_of(
    by_item: bool,
    operations: &[(usize, Operation, Option<usize>, Option<f64>)],
) -> Arc<Lane> {
    let entity_column = if by_item { 3 } else { 2 };
    let group = |index: usize| {
        Arc::new(Group {
            name: format!("group_{index}"),
            entity: "entity".into(),
            source: "clickstream".into(),
            entity_column: if by_item { "item_id" } else { "visitor_id" }.into(),
            ttl_us: TTL[index],
            features: Vec::new(),
            hash: [index as u8; 32],
        })
    };
    let feature =
        |(index, (group, operation, filter, default)): (usize, &(usize, Operation, _, _))| {
            LaneFeature {
                group: *group,
                name: format!("feature_{index}"),
                operation: operation.clone(),
                filter: *filter,
                default: *default,
            }
        };
    Arc::new(Lane {
        id: LaneId([u8::from(by_item); 8]),
        source: source(),
        entity: "entity".into(),
        entity_column,
        groups: vec![group(0), group(1)],
        features: operations.iter().enumerate().map(feature).collect(),
        expressions: Vec::new(),
    })
}

pub(super) fn lane(by_item: bool) -> Arc<Lane> {
    lane_of(by_item, &operations())
}

pub(super) fn ratio(event: &Event) -> Option<f64> {
    event.amount.map(|amount| amount as f64 / 8.0)
}

/// Records as a decoder would give them: `events[i]` lies at offset `2 i` (logs have gaps).
pub(super) fn batch(events: &[Event], from: usize, until: usize) -> EventBatch {
    let rows = &events[from..until];
    let text = |value: &dyn Fn(&Event) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let decoded = |event: &Event| event.broken.is_none_or(|reason| reason == Reason::Expression);
    let columns = vec![
        text(&|event| decoded(event).then(|| event.id.clone())),
        Arc::new(rows.iter().map(|event| Some(event.sent)).collect::<TimestampMicrosecondArray>()),
        text(&|event| decoded(event).then(|| event.visitor.clone())),
        text(&|event| decoded(event).then(|| event.item.clone())),
    ];
    let rejection = |(row, event): (usize, &Event)| {
        let reason = event.broken.filter(|_| !decoded(event))?;
        Some(Rejection { row, reason, detail: String::new() })
    };
    EventBatch {
        partition: Partition(3),
        offsets: (from..until).map(|i| Offset(2 * i as u64)).collect(),
        append_times: rows.iter().map(|event| AppendTime(event.append_ms)).collect(),
        event_times: rows.iter().map(|event| EventTime(event.sent)).collect(),
        columns: RecordBatch::try_new(schema(), columns).expect("columns of the schema"),
        rejections: rows.iter().enumerate().filter_map(rejection).collect(),
    }
}

/// What the lane's expressions would give.
pub(super) fn columns(rows: &[Event]) -> Columns {
    let rejection = |(row, event): (usize, &Event)| {
        let reason = event.broken.filter(|reason| *reason == Reason::Expression)?;
        Some(Rejection { row, reason, detail: String::new() })
    };
    let columns: Vec<ArrayRef> = vec![
        // A null filter admits nothing, as false does.
        Arc::new(
            rows.iter()
                .map(|e| (e.kind != "odd").then_some(e.kind == "view"))
                .collect::<BooleanArray>(),
        ),
        Arc::new(rows.iter().map(|e| e.amount).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|e| e.category.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|e| Some(e.item.clone())).collect::<StringArray>()),
        Arc::new(rows.iter().map(|e| Some(e.kind)).collect::<StringArray>()),
        Arc::new(rows.iter().map(ratio).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|e| e.amount.map(|a| a > 100)).collect::<BooleanArray>()),
    ];
    Columns { columns, rejections: rows.iter().enumerate().filter_map(rejection).collect() }
}

pub(super) fn start(lane: &Arc<Lane>) -> LanePartition {
    LanePartition::new(Arc::clone(lane), Partition(3), Head::start(LOG))
}

/// Applies `events[from..until]` and gives the verdicts.
pub(super) fn apply(
    partition: &mut LanePartition,
    events: &[Event],
    from: usize,
    until: usize,
) -> Vec<Verdict> {
    let verdicts = partition.apply(&batch(events, from, until), &columns(&events[from..until]));
    verdicts.into_iter().map(|(_, verdict)| verdict).collect()
}

/// A store in a map: what commits wrote.
pub(super) type Store = BTreeMap<StateKey, Vec<u8>>;

pub(super) fn commit(partition: &mut LanePartition, store: &mut Store) -> Head {
    let changes = partition.take_changes();
    assert!(changes.states.is_sorted_by(|a, b| a.0 < b.0), "changes come in key order, each once");
    for (key, bytes) in changes.states {
        match bytes {
            Some(bytes) => store.insert(key, bytes),
            None => store.remove(&key),
        };
    }
    changes.head
}

/// Cuts `0..length` at the given places.
pub(super) fn cuts(length: usize, at: &[Index]) -> Vec<(usize, usize)> {
    let mut bounds: Vec<usize> = at.iter().map(|index| index.index(length + 1)).collect();
    bounds.extend([0, length]);
    bounds.sort_unstable();
    bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[derive(Debug, Clone)]
struct Draft {
    step: i64,
    jitter: i64,
    delay: i64,
    copy_of: Option<Index>,
    event: Event,
}

fn draft() -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![4 => Just("view"), 1 => Just("cart"), 1 => Just("odd")];
    let broken = prop_oneof![
        14 => Just(None),
        1 => Just(Some(Reason::Malformed)),
        1 => Just(Some(Reason::Expression)),
    ];
    let delay = prop_oneof![
        6 => Just(0),
        4 => (0..LATENESS / SECOND).prop_map(|s| s * SECOND),
        1 => (0..30i64).prop_map(|s| s * 10 * SECOND),
        // Clocks that are wrong by up to ten minutes, either way.
        2 => (-600..600i64).prop_map(|s| s * SECOND),
    ];
    let amount = option::weighted(
        0.8,
        prop_oneof![4 => -300..300i64, 1 => Just(1 << 53), 1 => Just(-(1 << 53))],
    );
    let item = prop_oneof![15 => (0..5u8).prop_map(|i| format!("item {i} of the catalogue, a long name")), 1 => Just(String::new())];
    let fields = (0..3u8, item, kind, option::weighted(0.9, 0..6u8), amount, broken);
    let step = prop_oneof![3 => Just(0i64), 5 => (0..4i64).prop_map(|s| s * 5), 1 => 0..200i64];
    (step, -1..=1i64, delay, option::weighted(0.15, any::<Index>()), fields).prop_map(
        |(step, jitter, delay, copy_of, (visitor, item, kind, category, amount, broken))| Draft {
            step,
            jitter,
            delay,
            copy_of,
            event: Event {
                id: String::new(),
                visitor: format!("visitor {visitor}"),
                item,
                kind,
                category: category.map(|c| format!("category {c}")),
                amount,
                sent: 0,
                append_ms: 0,
                broken,
            },
        },
    )
}

/// A log with disorder, late records, copies, equal microseconds, skewed clocks and broken records.
pub(super) fn log(length: usize) -> impl Strategy<Value = Vec<Event>> {
    vec(draft(), 1..length).prop_map(|drafts| {
        let mut now = BASE;
        let mut events: Vec<Event> = Vec::new();
        for (i, draft) in drafts.into_iter().enumerate() {
            now += draft.step * SECOND;
            let mut event = match draft.copy_of {
                Some(index) if i > 0 => events[index.index(i)].clone(),
                _ => Event {
                    // Short and long ids; some come twice with other times.
                    id: if i % 2 == 0 {
                        format!("{}", i / 4)
                    } else {
                        format!("a long event id, number {i}")
                    },
                    sent: now - draft.delay + draft.jitter,
                    ..draft.event
                },
            };
            event.append_ms = now / 1000;
            events.push(event);
        }
        events
    })
}
