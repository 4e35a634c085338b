//! The Redis adapter against the port's suite, against a model, and against faults, on real servers.
//! `tests/run` says where they are; run by hand:
//! `eval "$(tests/servers/fetch FOLDER)" && cargo test -p online-store --test redis -- --ignored`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is test code")]

#[path = "redis/cluster.rs"]
mod cluster;
#[path = "redis/conformance.rs"]
mod conformance;
#[path = "redis/faults.rs"]
mod faults;
#[path = "redis/harness.rs"]
mod harness;
#[path = "redis/lost_replies.rs"]
mod lost_replies;
#[path = "shared/model.rs"]
mod model;
#[path = "redis/outage.rs"]
mod outage;
#[path = "redis/proxy.rs"]
mod proxy;
#[path = "redis/random.rs"]
mod random;
#[path = "redis/raw.rs"]
mod raw;
#[path = "redis/refusals.rs"]
mod refusals;
#[path = "redis/rewind.rs"]
mod rewind;
#[path = "redis/scan.rs"]
mod scan;
#[path = "redis/work.rs"]
mod work;
