//! Nothing is lost or doubled under faults, on Apache Kafka and Redis.
//!
//! Every test here makes a stream with a seed that it prints, keeps its own ledger of it, inflicts faults
//! while the stream goes through, and at the end compares **every key of every lane** with the naive
//! reference of `tests/reference`, driven by that ledger and by what a plain consumer finds in the log:
//! feature values bit for bit at three times, ledgers, watermarks and positions of the heads, the set of
//! keys, and which records lie in the topics of late records and dead letters. The last line of a test is its row of the table.
//!
//! | test | short dose | full dose |
//! |---|---|---|
//! | [`exact`] | 20,000 events | 1,000,000 events, and the same digests on the embedded pair |
//! | [`updater_kills`] | 3 × kill -9 of `update` | 100 |
//! | [`members`] | 2 × from one updater to four and back, one of them leaving, killed, stopped and going on | 50 |
//! | [`server_kills`] | 2 × broker, 3 × broker kept out of its cluster, 2 × Redis, 2 × Redis from an older copy | 20, 20, 20, 10 |
//! | [`cluster`] | a master fails over | the same, over more events |
//! | [`lost_replies`] | 20 commits whose reply is cut off | 1,000 |
//! | [`track`] | 3 × kill -9 of the service that takes events, the broker away for 5 s | 100, 30 s |
//! | [`parity`] | 300 answers while all of that goes on | 100,000 |
//!
//! `tests/faults [TEST] [SEED]` gives the full dose and prints the table; `tests/run` gives the short one.

#![expect(clippy::print_stdout, reason = "results are told by printing them")]

#[path = "faults/cluster.rs"]
mod cluster;
#[path = "faults/dose.rs"]
mod dose;
#[path = "faults/events.rs"]
mod events;
#[path = "faults/exact.rs"]
mod exact;
#[path = "faults/feeder.rs"]
mod feeder;
#[path = "faults/lost_replies.rs"]
mod lost_replies;
#[path = "faults/members.rs"]
mod members;
#[path = "faults/oracle.rs"]
mod oracle;
#[path = "faults/parity.rs"]
mod parity;
#[path = "faults/plain.rs"]
mod plain;
#[path = "faults/proxy.rs"]
mod proxy;
#[path = "faults/ride.rs"]
mod ride;
#[path = "faults/row.rs"]
mod row;
#[path = "faults/server_kills.rs"]
mod server_kills;
#[path = "faults/stood.rs"]
mod stood;
#[path = "faults/store.rs"]
mod store;
#[path = "faults/track.rs"]
mod track;
#[path = "faults/updater_kills.rs"]
mod updater_kills;
#[path = "faults/worker.rs"]
mod worker;

pub(crate) use ride::{kafka, redis_server};
