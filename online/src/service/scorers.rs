//! Stages that score candidates.

mod ranker;

pub(super) use ranker::RankerScorer;
