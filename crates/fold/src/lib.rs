//! The fold: the only code that turns events into stream feature values.
//!
//! A crate of its own because batch and online both call it and neither may know the other. It is
//! pure: no clock, no randomness, no environment, no I/O. State is a function of the *set* of
//! admitted events, in integers and fixed point, so order, batches and restarts cannot change a bit.
//!
//! The tour: [`LanePartition::apply`] judges a batch and folds it; [`LanePartition::take_changes`]
//! gives the bytes to commit; [`EntityState::decode`] and [`EntityState::values`] read them back. Batch
//! drives the parts by themselves: [`Watermark`] over a partition, [`Identities`] per stream key,
//! [`KeyFold`] per entity. The aggregates are under `aggregate/`, one file each.

mod admission;
mod aggregate;
mod chunks;
mod codec;
pub mod example;
mod inputs;
mod key_fold;
mod numbered;
mod partition;
mod plan;
mod prefetch;
mod prepared;
mod state;
mod text;
mod tiles;
mod value;
pub mod workload;

pub use admission::{
    IDENTITIES_MAX, Identities, Identity, Ledger, Refusal, Verdict, Watermark, refusals,
    why as admission_says,
};
pub use aggregate::Place;
pub use aggregate::keyed::BUCKETS;
pub use inputs::Inputs;
pub use key_fold::KeyFold;
pub use partition::{Changes, Head, LanePartition, StateKey};
pub use plan::Plan;
pub use prepared::Prepared;
pub use state::{EntityState, read_time};
pub use value::{Embedding, Seen, Value, decode_values, encode_values};

/// Version of the fold's meaning and encoding; part of every group's hash.
pub const VERSION: u32 = definitions::FOLD_VERSION;

/// Why bytes were not a state or a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by another version of the fold.
    #[error("state of version {found}, this build reads version {expected}")]
    Version {
        /// What the bytes say.
        found: u32,
        /// What this build reads.
        expected: u32,
    },
    /// Not what the encoding can hold.
    #[error("damaged state at byte {at}: {what}")]
    Damaged {
        /// Where the reader stood.
        at: usize,
        /// What was wrong there.
        what: &'static str,
    },
}
