use std::collections::BTreeMap;

use candidate_pipeline::{Cause, Filter, OnFailure};
use fold::Value;

use crate::service::query::{Candidate, Query};

/// Keeps items whose attributes equal those of the request; an unknown attribute is not equal.
pub(in crate::service) struct Attributes {
    /// Lane and feature in the item table, by name.
    pub(in crate::service) features: BTreeMap<String, (usize, usize)>,
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
            let at =
                self.features.get(name).ok_or_else(|| Cause(format!("no attribute {name}")))?;
            wanted.push((*at, value.as_str()));
        }
        let equal = |candidate: &Candidate| {
            wanted.iter().all(|(at, wanted)| match query.item_value(candidate, *at) {
                Some(Value::Text(value)) => **value == **wanted,
                Some(Value::Int(value)) => value.to_string() == **wanted,
                Some(Value::Bool(value)) => value.to_string() == **wanted,
                _ => false,
            })
        };
        Ok(candidates.iter().map(equal).collect())
    }
}
