//! The Kafka adapter against the port's suite and against faults, on a real broker. Ignored unless
//! asked for (`cargo test --test kafka -- --ignored`), with `SERVERS_KAFKA_LIBS` set as
//! `tests/servers/fetch` says; `tests/run` does both.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of it is test code")]

#[path = "kafka/conformance.rs"]
mod conformance;
#[path = "kafka/damaged.rs"]
mod damaged;
#[path = "kafka/faults.rs"]
mod faults;
#[path = "kafka/fenced.rs"]
mod fenced;
#[path = "kafka/groups.rs"]
mod groups;
#[path = "kafka/harness.rs"]
mod harness;
#[path = "kafka/identity.rs"]
mod identity;
#[path = "kafka/password.rs"]
mod password;
#[path = "kafka/raw.rs"]
mod raw;
#[path = "kafka/topics.rs"]
mod topics;
#[path = "kafka/transactions.rs"]
mod transactions;
