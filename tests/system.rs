//! Whole-system tests: they drive the built binary as a user or a scheduler would.
#![allow(clippy::unwrap_used, reason = "an integration test fails by panicking")]

#[path = "system/bench.rs"]
mod bench;
#[path = "system/bundles.rs"]
mod bundles;
#[path = "system/counted.rs"]
mod counted;
#[path = "system/crash_points.rs"]
mod crash_points;
#[path = "system/crashes.rs"]
mod crashes;
#[path = "system/damaged.rs"]
mod damaged;
#[path = "system/dead_letters.rs"]
mod dead_letters;
#[path = "system/exits.rs"]
mod exits;
#[path = "system/faults.rs"]
mod faults;
#[path = "system/fresh.rs"]
mod fresh;
#[path = "system/import.rs"]
mod import;
#[path = "system/kills.rs"]
mod kills;
#[path = "system/lanes.rs"]
mod lanes;
#[path = "system/learning.rs"]
mod learning;
#[path = "system/live.rs"]
mod live;
#[path = "system/load.rs"]
mod load;
#[path = "system/metrics.rs"]
mod metrics;
#[path = "system/night.rs"]
mod night;
#[path = "system/owner.rs"]
mod owner;
#[path = "system/owner_faults.rs"]
mod owner_faults;
#[path = "system/stream.rs"]
mod stream;
#[cfg(feature = "tls")]
#[path = "system/tls.rs"]
mod tls;
#[path = "system/traces.rs"]
mod traces;
#[path = "system/trained.rs"]
mod trained;
#[path = "system/twofold.rs"]
mod twofold;
