//! Candidate indexes, candidate sources, the recommenders that twofold is compared with, and the
//! joined row that models see.
//!
//! A crate of its own because training and serving must find candidates and join rows with the very
//! same code. It is pure: an index is bytes in and bytes out, a source is a function of (index,
//! query), and time is an argument. It must never score with a model, nor read a store.

pub mod index;
pub mod joined_row;
pub mod source;
