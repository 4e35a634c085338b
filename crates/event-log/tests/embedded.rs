//! The embedded adapter against the port's suite, against a model, and against crashes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is test code")]

#[path = "embedded/conformance.rs"]
mod conformance;
#[path = "embedded/crash.rs"]
mod crash;
#[path = "embedded/ends.rs"]
mod ends;
#[path = "embedded/harness.rs"]
mod harness;
#[path = "embedded/limits.rs"]
mod limits;
#[path = "embedded/model.rs"]
mod model;
