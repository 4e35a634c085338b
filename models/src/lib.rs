//! Models: training, artefact, registry.
//!
//! A crate of its own because only it may know Burn: batch writes training sets as Parquet and JSON,
//! the service hands over `f32` matrices and gets scores, and neither sees a tensor. Nothing here
//! knows definitions, the fold, the log or the store; what must agree with them (definition hash,
//! names of inputs, digests) crosses the door as text and is compared, never computed.
//!
//! It must never read a clock, draw an unseeded random number or print: times and seeds are
//! arguments, and [`Progress`] tells a caller how far a training is.
//!
//! The tour, in the order of a night:
//! 1. [`Sequences`] are what visitors looked at; [`Retriever::fit`] makes item vectors and a visitor
//!    tower of them.
//! 2. [`TrainingSet::open`] refuses a set that knows the future of its own labels;
//!    [`Ranker::fit`] learns to order each position's candidates.
//! 3. [`bundle::Draft`] binds both to a definition hash and golden vectors, and
//!    [`Registry::publish`] makes it the active bundle, or refuses it and leaves the old one.
//! 4. The service polls [`Registry::active`], loads with [`Bundle::load`] and calls
//!    [`Ranker::score`].

pub mod bundle;
mod digest;
mod files;
mod progress;
pub mod ranker;
pub mod registry;
pub mod retriever;
pub mod sequences;
mod tensors;
pub mod training_set;

pub use bundle::{Bundle, Expectation};
pub use progress::{Epoch, Progress};
pub use ranker::Ranker;
pub use registry::Registry;
pub use retriever::Retriever;
pub use sequences::Sequences;
pub use training_set::TrainingSet;
