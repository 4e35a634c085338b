//! The fold: the only code that turns events into stream feature values.
//!
//! A crate of its own because batch and online both call it and neither may know the other. It is
//! pure: no clock, no randomness, no environment, no I/O. State is a function of the *set* of
//! admitted events, in integers and fixed point, so order, batches and restarts cannot change a bit.
//!
//! The tour: [`LanePartition::apply`] judges a batch and folds it; [`LanePartition::take_changes`]
//! gives the bytes to commit; [`EntityState::decode`] and [`EntityState::values`] read them back.

mod admission;
mod partition;
mod state;
mod value;

pub use admission::{Ledger, Verdict};
pub use partition::{Changes, Head, LanePartition, StateKey};
pub use state::{EntityState, read_time};
pub use value::{Embedding, Seen, Value, encode_values};

/// Version of the fold's meaning and encoding; part of every group's hash.
pub const VERSION: u32 = 1;

/// Why bytes were not a state or a head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Written by another version of the fold.
    #[error("state of version {found}, this build reads version {expected}")]
    Version { found: u32, expected: u32 },
    /// Not what the encoding can hold.
    #[error("damaged state at byte {at}: {what}")]
    Damaged { at: usize, what: &'static str },
}
