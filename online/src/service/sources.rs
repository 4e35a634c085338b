//! Stages that find candidates.

mod index;

pub(super) use index::IndexSource;
