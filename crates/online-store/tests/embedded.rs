//! The embedded adapter against the port's suite, against a model, and against crashes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is test code")]

#[path = "embedded/conformance.rs"]
mod conformance;
#[path = "embedded/crash.rs"]
mod crash;
#[path = "embedded/harness.rs"]
mod harness;
#[path = "embedded/limits.rs"]
mod limits;
#[path = "shared/model.rs"]
mod model;
#[path = "embedded/pair.rs"]
mod pair;
#[path = "embedded/power.rs"]
mod power;
#[path = "embedded/random.rs"]
mod random;
