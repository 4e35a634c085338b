//! What runs while shoppers shop: the [`updater`], which keeps the online store equal to the fold
//! over the log, and the [`item_table`] that follows it.
//!
//! A crate of its own because serving must not pull in the batch engine. It knows ports and the
//! fold, never an adapter, and it computes no feature of its own.

mod busy;
pub mod item_table;
pub mod service;
pub mod updater;
