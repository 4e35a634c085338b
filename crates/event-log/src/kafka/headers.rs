//! A record's trace as headers of Kafka's, under the names that W3C Trace Context gives them, so that other
//! programs on the topic read and write it as well.

use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};
use record::Trace;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

pub(super) fn of(trace: &Trace) -> OwnedHeaders {
    let parent = trace.parent();
    let headers = OwnedHeaders::new().insert(Header { key: PARENT, value: Some(&parent) });
    match trace.state.as_str() {
        "" => headers,
        state => headers.insert(Header { key: STATE, value: Some(state) }),
    }
}

/// `None`: there is no `traceparent`, several of them, or one that is wrong.
pub(super) fn trace(headers: &BorrowedHeaders) -> Option<Trace> {
    let values = |name: &'static str| {
        let named = headers.iter().filter(move |header| header.key == name);
        named.map(|header| header.value.and_then(|value| std::str::from_utf8(value).ok()))
    };
    let mut parents = values(PARENT);
    let parent = parents.next()??;
    if parents.next().is_some() {
        return None;
    }
    // A list that is no text is left out as a whole.
    let states: Option<Vec<&str>> = values(STATE).collect();
    Trace::parse(parent, states.unwrap_or_default())
}
