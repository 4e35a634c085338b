//! The service over loopback gRPC on the embedded pair: answers, degradations, pages, records, load.
#![allow(clippy::unwrap_used, reason = "an integration test fails by panicking")]

#[path = "service/answers.rs"]
mod answers;
#[path = "service/degraded.rs"]
mod degraded;
#[path = "service/faulty.rs"]
mod faulty;
#[path = "service/filters.rs"]
mod filters;
#[path = "service/load.rs"]
mod load;
#[path = "service/malformed.rs"]
mod malformed;
#[path = "service/model.rs"]
mod model;
#[path = "service/pages.rs"]
mod pages;
#[path = "service/reflection.rs"]
mod reflection;
#[path = "service/requests.rs"]
mod requests;
#[path = "service/served.rs"]
mod served;
#[path = "service/swaps.rs"]
mod swaps;
#[path = "service/trace.rs"]
mod trace;
#[path = "service/track.rs"]
mod track;
#[path = "service/world.rs"]
mod world;
