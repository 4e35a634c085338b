//! The gRPC services: each turns messages into the core's words and back.

mod features;
mod recommend;
mod track;
mod values;

pub(super) use features::FeaturesRpc;
pub(super) use recommend::RecommenderRpc;
pub(super) use track::TrackerRpc;
