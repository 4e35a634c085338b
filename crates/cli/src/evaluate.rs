//! Held-out sessions through the real service path, in a realm of their own.
//!
//! `frozen`: indexes, item table and model stop at the cut; only the session advances. Its events are
//! tracked, then the service is asked, over loopback gRPC, for what comes next.

mod events;
mod metrics;
mod realm;
mod replay;

pub(crate) use events::{Step, steps};
pub(crate) use metrics::{Known, Position, report};
pub(crate) use realm::{Realm, directory, frozen, service};
pub(crate) use replay::{Baselines, Replay};

/// Length of the lists that are compared.
pub(crate) const K: usize = 20;
/// What is compared, in the order of [`Position::ranks`].
pub(crate) const ROWS: [&str; 5] = ["twofold", "model off", "popularity", "sr", "ar"];
