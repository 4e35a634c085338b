//! Candidate indexes, candidate sources, the recommenders that twofold is compared with, and the
//! joined row that models see.
//!
//! A crate of its own because training and serving must find candidates and join rows with the very
//! same code. It is pure: an index is bytes in and bytes out, a source is a function of (indexes,
//! vectors, query), and time is an argument. It must never score with a model, nor read a store.
//!
//! The tour: [`index::Indexes::build`] counts sessions up to a cut; [`source::candidates`] looks one
//! source up; [`pool::gather`] runs several and fuses them into one list; [`joined_row::Joiner`]
//! makes the Arrow rows that a model's expressions are evaluated over.

pub mod baseline;
mod error;
pub mod index;
pub mod joined_row;
pub mod pool;
pub mod source;
mod vectors;

pub use error::Error;
pub use vectors::Vectors;
