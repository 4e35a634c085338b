//! Batch: the archive, training sets, candidate indexes and parity.
//!
//! A crate of its own because only here DataFusion's engine is allowed, and because batch must never
//! know the online side: both know the fold. Nothing here judges a record or computes a value; batch
//! decides which events a row sees and in which order, the `fold` crate does the rest.
//!
//! The tour: [`archive`] keeps the log as Parquet; [`plan`] is the one plan that computes values at
//! spine rows; [`history`] reads sequences and sessions out of the log; [`indexes`] builds what
//! candidate sources look up; [`examples`] assembles training sets; [`parity`] replays what was served.

pub mod archive;
mod error;
pub mod examples;
mod files;
pub mod history;
pub mod indexes;
pub mod parity;
pub mod plan;
mod progress;
mod records;

pub use archive::Archive;
pub use error::Error;
pub use progress::{Progress, Watch};
pub use records::{Extent, Records, UpTo};
