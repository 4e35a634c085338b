use candidate_pipeline::{Cause, Filter, OnFailure};

use crate::service::attribute;
use crate::service::query::{Candidate, Query};

/// Keeps items whose attributes equal those of the request, each in its own type; an unknown attribute is not equal.
pub(in crate::service) struct Attributes {
    /// Attributes by name.
    pub(in crate::service) known: attribute::Attributes,
}

impl Filter<Query, Candidate> for Attributes {
    fn name(&self) -> &str {
        "attributes"
    }

    fn enable(&self, query: &Query) -> bool {
        !query.request.filter.is_empty()
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Drop
    }

    fn filter(&self, query: &Query, candidates: &[Candidate]) -> Result<Vec<bool>, Cause> {
        let mut wanted = Vec::with_capacity(query.request.filter.len());
        for (name, value) in &query.request.filter {
            let known = self.known.get(name);
            let attribute = known.ok_or_else(|| Cause(format!("no attribute {name}")))?;
            let value = attribute.value(value);
            let value = value.ok_or_else(|| Cause(format!("no value of attribute {name}")))?;
            wanted.push((attribute.at, value));
        }
        let equal = |candidate: &Candidate| {
            wanted.iter().all(|(at, wanted)| query.item_value(candidate, *at) == Some(wanted))
        };
        Ok(candidates.iter().map(equal).collect())
    }
}
