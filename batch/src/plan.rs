//! The one plan that every value comes from: scan → admission → expressions → hash by key → sort →
//! [`FoldExec`], which runs the fold and emits values at the spine rows.
//!
//! Batch adds no rule of its own: verdicts are [`fold::Watermark`]'s and [`fold::Identities`]', columns are
//! the lane's, values are [`fold::KeyFold`]'s. What differs between the two clocks is the *order* that a
//! lane's events and its spine rows are folded and read in, and that is data: see [`Order`].

mod admission;
mod feed;
mod fold_exec;
mod order;
mod run;
mod scan;
mod spill;
mod spine;

pub use fold_exec::FoldExec;
pub use order::Order;
pub use run::{Engine, EngineSettings, Values};
pub use scan::{Scan, ScanExec, ScanReport};
pub use spine::{SpineRow, When};
