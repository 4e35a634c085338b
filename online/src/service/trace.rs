//! The trace that a call belongs to: the caller's, or one that begins here.

use record::{Hex, Trace};
use runtime::entropy::Entropy;
use tonic::metadata::MetadataMap;
use tracing::Span;

/// Target of the lines that follow single events and answers, from the call to the commit.
pub(crate) const TARGET: &str = "online::trace";

/// What the call leaves in the log belongs to this: a span of ours in the caller's trace, or in a new one where
/// the caller told of none, or not as W3C Trace Context says.
pub(super) fn of_call(metadata: &MetadataMap, entropy: &Entropy) -> Trace {
    match of_caller(metadata) {
        Some(callers) => callers.child(entropy.bytes()),
        None => Trace::new(entropy.bytes(), entropy.bytes()),
    }
}

fn of_caller(metadata: &MetadataMap) -> Option<Trace> {
    let mut parents = metadata.get_all("traceparent").iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let states = metadata.get_all("tracestate").iter().map(|state| state.to_str());
    // A list that is no text is left out as a whole.
    let states: Vec<&str> = states.collect::<Result<_, _>>().unwrap_or_default();
    Trace::parse(parent, states)
}

/// The span of a call: each line that is logged while it is answered shows its trace.
pub(super) fn span(method: &'static str, trace: &Trace) -> Span {
    tracing::info_span!("call", method, trace_id = %Hex(&trace.id), span_id = %Hex(&trace.span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn call(values: &[(&'static str, &str)]) -> Trace {
        let mut metadata = MetadataMap::new();
        for (name, value) in values {
            metadata.append(*name, value.parse().unwrap());
        }
        of_call(&metadata, &Entropy::seeded(1))
    }

    #[test]
    fn a_call_goes_on_with_its_callers_trace() {
        let trace = call(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]);
        assert!(trace.parent().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(trace.parent().ends_with("-01") && trace.parent() != PARENT, "a span of ours");
        assert_eq!(trace.state, "a=1,b=2");
    }

    #[test]
    fn a_call_without_a_right_context_begins_a_trace() {
        let of_none = call(&[]);
        assert_ne!((of_none.id, of_none.span), ([0; 16], [0; 8]));
        for wrong in [
            &[("traceparent", "00-xyz")][..],
            &[("traceparent", PARENT), ("traceparent", PARENT)],
            &[("tracestate", "a=1")],
        ] {
            assert_eq!(call(wrong), of_none, "{wrong:?}");
        }
    }
}
