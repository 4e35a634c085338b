//! Whole-system tests: they drive the built binary as a user or a scheduler would.
#![allow(clippy::unwrap_used, reason = "an integration test fails by panicking")]

#[path = "system/crashes.rs"]
mod crashes;
#[path = "system/exits.rs"]
mod exits;
#[path = "system/import.rs"]
mod import;
#[path = "system/lanes.rs"]
mod lanes;
#[path = "system/learning.rs"]
mod learning;
#[path = "system/live.rs"]
mod live;
#[path = "system/night.rs"]
mod night;
#[path = "system/owner.rs"]
mod owner;
#[path = "system/owner_faults.rs"]
mod owner_faults;
#[path = "system/twofold.rs"]
mod twofold;
