use std::sync::Arc;

use candidate_pipeline::{Cause, Filter, OnFailure};
use fold::Value;

use crate::service::catalogue::Catalogue;
use crate::service::query::{Candidate, Query};

/// Drops what is out of stock, and what is not known to be in stock, wherever the shop says what its
/// stock is at all.
pub(in crate::service) struct Stock {
    /// Lane and feature of the stock in the item table.
    pub(in crate::service) at: (usize, usize),
    pub(in crate::service) catalogue: Arc<Catalogue>,
}

impl Filter<Query, Candidate> for Stock {
    fn name(&self) -> &str {
        "stock"
    }

    /// A shop without a catalogue does not tell its stock. A version of the table that has read one is
    /// known before the next look at the topic.
    fn enable(&self, query: &Query) -> bool {
        let lane = query.items.lanes()[self.at.0].id;
        let mut reads = query.items.reads().iter().filter(|read| read.lane == lane);
        self.catalogue.exists() || reads.any(|read| read.head.is_some())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Drop
    }

    fn filter(&self, query: &Query, candidates: &[Candidate]) -> Result<Vec<bool>, Cause> {
        let in_stock = |candidate: &Candidate| matches!(query.item_value(candidate, self.at), Some(Value::Int(stock)) if *stock > 0);
        Ok(candidates.iter().map(in_stock).collect())
    }
}
