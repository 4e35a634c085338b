//! The oracle over the fixture's events; it lies in `tests/reference`, for others judge by it too.

use definitions::{Lane, Reason};
pub(super) use reference::Broken;
use reference::Value;

use super::fixture::*;

#[path = "../../../../tests/reference/as_fold.rs"]
mod as_fold;

pub(super) type Admitted = reference::Admitted<Event>;

impl reference::Event for Event {
    fn id(&self) -> &str {
        &self.id
    }
    fn key(&self) -> &str {
        &self.visitor
    }
    fn sent(&self) -> i64 {
        self.sent
    }
    fn append_ms(&self) -> i64 {
        self.append_ms
    }
    fn rejected(&self) -> Option<Reason> {
        self.broken
    }
    fn passes(&self, column: usize) -> bool {
        assert!(column == IS_VIEW, "column {column} is no filter here");
        self.kind == "view"
    }
    fn value(&self, column: usize) -> Option<Value> {
        match column {
            CATEGORY => self.category.as_deref().map(|text| Value::Text(text.into())),
            ITEM => Some(Value::Text(self.item.as_str().into())),
            KIND => Some(Value::Text(self.kind.into())),
            AMOUNT => self.amount.map(Value::Int),
            RATIO => ratio(self).map(Value::Float),
            IS_BIG => self.amount.map(|amount| Value::Bool(amount > 100)),
            other => unreachable!("column {other} is not a value here"),
        }
    }
}

/// Verdicts in offset order, and the events that count.
pub(super) fn admit(
    events: &[Event],
    broken: Broken,
) -> (Vec<fold::Verdict>, Vec<Admitted>, Option<i64>) {
    let records = (0..).step_by(2).zip(events.iter().cloned());
    let admission = reference::admit(&source(), records, broken);
    let verdicts = admission.verdicts.into_iter().map(verdict).collect();
    (verdicts, admission.admitted, admission.watermark)
}

/// Value of a feature over the events of one key, at `t`.
pub(super) fn value(
    lane: &Lane,
    feature: usize,
    events: &[Admitted],
    t: i64,
    broken: Broken,
) -> fold::Value {
    let vectors = |item: &str| vector_of(item).map(Vec::from);
    as_fold::value(reference::value(lane, feature, events, t, &vectors, broken))
}

/// The oracle's verdict in the fold's words.
fn verdict(verdict: reference::Verdict) -> fold::Verdict {
    match verdict {
        reference::Verdict::Applied => fold::Verdict::Applied,
        reference::Verdict::Duplicate => fold::Verdict::Duplicate,
        reference::Verdict::Late => fold::Verdict::Late,
        reference::Verdict::DeadLettered(reason) => fold::Verdict::DeadLettered(reason),
    }
}

/// Vectors of the test's items: every second one is known.
pub(super) fn vector_of(item: &str) -> Option<[f32; 3]> {
    let digit = item.bytes().filter(u8::is_ascii_digit).map(|b| f32::from(b - b'0')).next()?;
    (digit as i32 % 2 == 0).then_some([1.0 - digit, 0.25 * digit, -0.5])
}
