//! Feature definitions: TOML with SQL expressions, strictly parsed, type-checked, hashed.
//!
//! A crate of its own because batch, updater and service must all read the same meaning out of the
//! same text. It is pure: it reads no clock, no randomness, no environment and does no I/O (files
//! come in as text), and it never folds: turning events into state is the `fold` crate's work.
//!
//! The tour: [`parse::parse`] turns files into [`Definitions`]; [`Definitions::lanes`] compiles
//! them into [`Lane`]s; a [`decode::Decoder`] turns record bytes into an [`EventBatch`]; and
//! [`Lane::evaluate`] computes the columns that the fold consumes.

pub mod decode;
mod diagnostic;
pub mod example;
pub mod explain;
pub mod expression;
pub mod group;
pub mod hash;
pub mod lane;
pub mod model;
pub mod parse;
pub mod source;
mod suggest;

pub use decode::{EventBatch, Reason, Rejection};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use example::{Example, ExampleEvent, Expected};
pub use group::{AggregateSpec, Feature, Group, ITEM_ENTITY, Window};
pub use hash::{FOLD_VERSION, LIBM_VERSION};
pub use lane::{Columns, Conversion, Lane, LaneExpression, LaneFeature, Operation};
pub use model::{CANDIDATE_SOURCES, CompiledModel, Model, ModelInput};
pub use source::{Column, ColumnType, Source};

use std::sync::Arc;

/// Every definition of a directory, checked.
#[derive(Debug, Clone)]
pub struct Definitions {
    /// Sources, sorted by name.
    pub sources: Vec<Arc<Source>>,
    /// Groups, sorted by name.
    pub groups: Vec<Arc<Group>>,
    /// Models, sorted by name.
    pub models: Vec<Arc<Model>>,
    /// Golden examples, in the order of the files.
    pub examples: Vec<Example>,
    lanes: Vec<Arc<Lane>>,
}
