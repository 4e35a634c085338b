//! A bundle: everything that changes together when a model is swapped, in one directory.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | [`Manifest`]: checksums, definition hash, inputs, normalisation, golden vectors |
//! | `ranker.safetensors` | `wide.weight [3, inputs]`, `hidden1.weight`, `hidden1.bias`, `hidden2.weight`, `hidden2.bias`, `heads.weight [3, hidden]` |
//! | `retriever.safetensors` | `items.weight [items, dimension]`, `visitor.weight`, `visitor.bias` |
//! | `items.json` | ids of the rows of `items.weight`, ascending |
//! | `manifest.sha256` | what `sha256sum manifest.json` prints: vouches for the manifest wherever the bundle lies |
//!
//! Tensors have PyTorch's names, layout and types, so what is trained there is served here: a manifest
//! with golden vectors from there proves that both compute the same. A bundle's name is the SHA-256 of
//! its manifest, which holds the checksums of the rest. A directory of that name, as in a registry, needs no
//! `manifest.sha256`; where both are, both must be right.

mod golden;
mod load;
mod manifest;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::path::PathBuf;

pub use golden::Golden;
pub(crate) use load::Files;
pub(crate) use manifest::seal;
pub use manifest::{Manifest, RankerEntry, RetrieverEntry, SEAL, VERSION};
pub use write::Draft;

use crate::{Ranker, Retriever, tensors};

/// What the running definitions demand of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Names of the definitions' models: what is published is for one of them.
    pub models: Vec<String>,
    /// Hash of the model's definition, as lower-case hex.
    pub definition_hash: String,
    /// Names of the inputs, in order.
    pub inputs: Vec<String>,
    /// Whether the model asks a source that searches item vectors.
    pub retriever: bool,
    /// Half-life of an event's weight in the visitors' interest vectors, in microseconds; `None`: there
    /// are no such vectors.
    pub half_life_us: Option<i64>,
}

/// A loaded, checked and warmed-up bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// SHA-256 of the manifest, as hex: the bundle's name.
    pub digest: String,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Orders candidates.
    pub ranker: Ranker,
    /// Item vectors and visitor tower; `None` where the model was trained without.
    pub retriever: Option<Retriever>,
}

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of the manifest is not there.
    #[error("{path} is missing from the bundle; copy or train it again")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// JSON that this build does not read.
    #[error("{path}: {what}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where JSON gives them.
        what: String,
    },
    /// Another format.
    #[error("{path}: version {found}, this build reads {VERSION}; train again (`twofold train`)")]
    Version {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// Bytes differ from what was written.
    #[error("{path} has SHA-256 {found}, expected {expected}: damaged; copy or train it again")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Of the bytes.
        found: String,
        /// From the manifest, or from the bundle's name.
        expected: String,
    },
    /// The manifest is not the one that its checksum was written for.
    #[error(
        "{path} has SHA-256 {found}, {SEAL} beside it expects {expected:?}: one of the two is damaged; \
         copy or train the bundle again"
    )]
    Seal {
        /// The manifest.
        path: PathBuf,
        /// Of its bytes.
        found: String,
        /// The beginning of what the file beside it says.
        expected: String,
    },
    /// Nothing vouches for the manifest: neither its checksum beside it nor the directory's name.
    #[error(
        "{path} is missing, so nothing vouches for the bundle's manifest: copy the bundle again with it, or \
         into a directory that is named by its digest; of a bundle that was trained elsewhere, make it there \
         (`sha256sum manifest.json > {SEAL}`)"
    )]
    Unsealed {
        /// The file that is not there.
        path: PathBuf,
    },
    /// For a model that the definitions do not have.
    #[error(
        "bundle {bundle} is for model `{found}`, the definitions have {}; train again (`twofold train`) \
         or publish it with the definitions that it was trained for",
        .known.join(", ")
    )]
    Model {
        /// The bundle.
        bundle: String,
        /// In the manifest.
        found: String,
        /// Of the running definitions.
        known: Vec<String>,
    },
    /// Tensors that the manifest does not imply.
    #[error("{path}: {source}; copy or train it again")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: tensors::Error,
    },
    /// Trained for other definitions.
    #[error(
        "bundle {bundle} was trained for definition {found}, this service has {expected}; train again \
         (`twofold train`) or serve the definitions that it was trained for"
    )]
    Definition {
        /// The bundle.
        bundle: String,
        /// In the manifest.
        found: String,
        /// Of the running definitions.
        expected: String,
    },
    /// Trained with other inputs.
    #[error(
        "bundle {bundle} has the inputs {}, the definitions have {}; train again (`twofold train`)",
        .found.join(", "), .expected.join(", ")
    )]
    Inputs {
        /// The bundle.
        bundle: String,
        /// In the manifest.
        found: Vec<String>,
        /// Of the running definitions.
        expected: Vec<String>,
    },
    /// The model asks a source that the bundle has no vectors for.
    #[error(
        "bundle {bundle} has no retriever, but the model's sources search item vectors; train again \
         (`twofold train`) or take source `interest` out of the model's definition"
    )]
    NoRetriever {
        /// The bundle.
        bundle: String,
    },
    /// The retriever was fitted to interest vectors of another half-life than is served.
    #[error(
        "bundle {bundle} has a retriever for interest vectors with a half-life of {found} µs, the \
         definitions' is {expected} µs; train again (`twofold train`)"
    )]
    HalfLife {
        /// The bundle.
        bundle: String,
        /// In the manifest.
        found: i64,
        /// Of the running definitions.
        expected: i64,
    },
    /// Scores differ from the golden ones.
    #[error(
        "golden row {row} scores {found}, the manifest says {expected} (± {tolerance}): this build \
         does not compute what the bundle's trainer did; train it again with this build"
    )]
    Golden {
        /// From 0.
        row: usize,
        /// Computed.
        found: f32,
        /// In the manifest.
        expected: f32,
        /// Allowed difference.
        tolerance: f32,
    },
}
