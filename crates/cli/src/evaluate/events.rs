//! The file's events in the order in which they are tracked.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::import::Event;

/// One tracked event, and what is asked after it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) at_us: i64,
    /// Number of the session, in the order of session ids.
    pub(crate) session: usize,
    /// Line of the file that it stands in, from 1.
    pub(crate) line: u64,
    /// The session's id: the visitor of the private realm.
    pub(crate) visitor: String,
    pub(crate) payload: Vec<u8>,
    /// Items of the session so far, this event's last.
    pub(crate) prefix: Vec<Arc<str>>,
    /// The session's next item; `None` after its last event.
    pub(crate) target: Option<Arc<str>>,
}

/// Orders events by (time, session, line). The entity is the session: where an event names one, it
/// takes the visitor's place. So the order of the sessions in the file does not matter.
pub(crate) fn steps(events: Vec<Event>) -> anyhow::Result<Vec<Step>> {
    let mut parsed = Vec::with_capacity(events.len());
    for event in events {
        let mut object: Map<String, Value> = serde_json::from_slice(&event.value)?;
        if let Some(session) = object.get("session_id").filter(|id| id.is_string()).cloned() {
            object.insert("visitor_id".to_owned(), session);
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(visitor), Some(item)) = (text("visitor_id"), text("item_id")) else {
            anyhow::bail!(
                "an event without visitor_id or item_id: only clickstreams are evaluated"
            );
        };
        parsed.push((event.at_us, visitor, event.place, item, serde_json::to_vec(&object)?));
    }
    parsed.sort_unstable();
    let mut ids: Vec<&String> = parsed.iter().map(|(_, visitor, ..)| visitor).collect();
    ids.sort_unstable();
    ids.dedup();
    let numbers: HashMap<String, usize> =
        ids.into_iter().enumerate().map(|(number, id)| (id.clone(), number)).collect();
    let mut sessions: Vec<Vec<Arc<str>>> = vec![Vec::new(); numbers.len()];
    let mut last_step: Vec<Option<usize>> = vec![None; numbers.len()];
    let mut steps: Vec<Step> = Vec::with_capacity(parsed.len());
    for (at_us, visitor, (_, line), item, payload) in parsed {
        let session = numbers[&visitor];
        let item: Arc<str> = item.into();
        if let Some(before) = last_step[session].replace(steps.len()) {
            steps[before].target = Some(Arc::clone(&item));
        }
        sessions[session].push(item);
        let prefix = sessions[session].clone();
        steps.push(Step { at_us, session, line, visitor, payload, prefix, target: None });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(line: u64, session: &str, item: &str, at_us: i64) -> Event {
        let value =
            format!(r#"{{"visitor_id":"{session}","item_id":"{item}","event_time":{at_us}}}"#);
        Event { at_us, place: (0, line), key: session.into(), value: value.into_bytes() }
    }

    fn shape(events: Vec<Event>) -> Vec<(String, usize, Option<String>)> {
        let steps = steps(events).unwrap();
        let target = |step: &Step| step.target.as_ref().map(ToString::to_string);
        steps.iter().map(|step| (step.visitor.clone(), step.prefix.len(), target(step))).collect()
    }

    #[test]
    fn the_order_of_the_files_sessions_does_not_matter() {
        let (a, b, c) =
            (("a", [("1", 5), ("2", 9)]), ("b", [("3", 5), ("4", 7)]), ("c", [("1", 1), ("1", 1)]));
        let file = |order: [(&str, [(&str, i64); 2]); 3]| {
            let rows = order.into_iter().flat_map(|(s, items)| items.map(|(i, at)| (s, i, at)));
            (1..).zip(rows).map(|(line, (s, i, at))| event(line, s, i, at)).collect::<Vec<_>>()
        };
        let expected = shape(file([a, b, c]));
        assert_eq!(expected, shape(file([c, b, a])));
        assert_eq!(expected, shape(file([b, c, a])));
        assert_eq!(expected[0], ("c".to_owned(), 1, Some("1".to_owned())));
        assert_eq!(expected[2], ("a".to_owned(), 1, Some("2".to_owned())));
    }
}
