//! What answers are made of and what is swapped while they are made: candidate indexes and bundle.
//!
//! A request takes one [`Snapshot`] and keeps it, so that a swap in its midst cannot mix two models.
//! A bundle that is refused changes nothing but [`Tables::refusal`].

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use candidates::Vectors;
use candidates::index::Indexes;
use candidates::joined_row::{ITEM_ENTITY, Joiner};
use candidates::source::INTEREST;
use definitions::model::CompiledModel;
use definitions::{Definitions, Lane, Model, Operation};
use fold::Embedding;
use models::{Bundle, Expectation};

/// Scores rows of inputs.
pub trait Score: Send + Sync {
    /// One score per row of row-major `rows × inputs`; higher is better.
    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32>;
}

/// Item vectors with the tower that turns a visitor's interest vector into a query.
pub trait Towers: Embedding {
    /// The visitor tower.
    fn query(&self, interest: &[f32]) -> Vec<f32>;
}

/// A model that can serve.
#[derive(Clone)]
pub struct Loaded {
    /// SHA-256 of the bundle's manifest, hex.
    pub digest: String,
    /// Its inputs, compiled.
    pub model: CompiledModel,
    /// Makes the rows that the inputs are evaluated over.
    pub joiner: Joiner,
    /// The ranker.
    pub scorer: Arc<dyn Score>,
    /// The retriever, if there is one.
    pub towers: Option<Arc<dyn Towers>>,
}

/// Everything that one answer is made of.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Candidate indexes.
    pub indexes: Option<Arc<Indexes>>,
    /// The model.
    pub bundle: Option<Arc<Loaded>>,
    /// The bundle's item vectors in the order of the indexes' catalogue.
    pub vectors: Option<Arc<Vectors>>,
}

/// Why a bundle was refused; the old one goes on serving.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The definitions have no such model.
    #[error(transparent)]
    Definition(#[from] definitions::expression::Error),
    /// Its inputs name what no lane, source or request has.
    #[error(transparent)]
    Joined(#[from] candidates::Error),
    /// It failed a check.
    #[error(transparent)]
    Bundle(#[from] models::bundle::Error),
}

impl Error {
    /// Whether it is the definitions' doing: the bundle is whole, but they have no such model, or another
    /// one than it was trained for.
    #[must_use]
    pub fn is_of_other_definitions(&self) -> bool {
        use models::bundle::Error::{Definition, HalfLife, Inputs, Model, NoRetriever};
        match self {
            Self::Definition(_) | Self::Joined(_) => true,
            Self::Bundle(refused) => matches!(
                refused,
                Definition { .. }
                    | Inputs { .. }
                    | NoRetriever { .. }
                    | HalfLife { .. }
                    | Model { .. }
            ),
        }
    }

    /// Whether it is the build's doing: the bundle is whole, but this build does not read its format, or
    /// computes otherwise than the one that made it.
    #[must_use]
    pub fn is_of_other_build(&self) -> bool {
        use models::bundle::Error::{Golden, Version};
        matches!(self, Self::Bundle(Version { .. } | Golden { .. }))
    }
}

/// The swappable tables. Cheap to clone; clones show the same.
#[derive(Clone, Default)]
pub struct Tables(Arc<Inner>);

#[derive(Default)]
struct Inner {
    current: RwLock<Arc<Snapshot>>,
    /// The bundle before the current one, for cursors that name it.
    earlier: RwLock<Option<Arc<Loaded>>>,
    refusal: RwLock<Option<String>>,
}

/// What definitions demand of bundles.
///
/// # Errors
/// When there is no such model.
pub fn expectation(definitions: &Definitions, model: &str) -> Result<Expectation, Error> {
    let compiled = definitions.compile_model(model)?;
    Ok(Expectation {
        models: definitions.models.iter().map(|model| model.name.clone()).collect(),
        definition_hash: hex(&compiled.model.hash),
        inputs: compiled.model.inputs.iter().map(|input| input.name.clone()).collect(),
        retriever: compiled.model.sources.iter().any(|source| source == INTEREST),
        half_life_us: interest_half_life_us(definitions),
    })
}

/// Half-life of the interest vector that item vectors are searched with: the visitor's first one.
#[must_use]
pub fn interest_half_life_us(definitions: &Definitions) -> Option<i64> {
    let lanes = definitions.lanes();
    let visitors = lanes.iter().filter(|lane| lane.entity != ITEM_ENTITY);
    visitors.flat_map(|lane| &lane.features).find_map(|feature| match feature.operation {
        Operation::InterestVector { half_life_us, .. } => Some(half_life_us),
        _ => None,
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The model of that name, if the definitions have it.
pub(super) fn model<'a>(definitions: &'a Definitions, name: &str) -> Option<&'a Arc<Model>> {
    definitions.models.iter().find(|model| model.name == name)
}

impl Loaded {
    /// Fits a checked bundle to the definitions.
    ///
    /// # Errors
    /// When the definitions have no such model, or cannot be joined for it.
    pub fn new(
        definitions: &Definitions,
        lanes: &[Arc<Lane>],
        model: &str,
        bundle: Bundle,
    ) -> Result<Self, Error> {
        let compiled = definitions.compile_model(model)?;
        candidates::source::check(compiled.model.sources.iter().map(String::as_str))?;
        let joiner = Joiner::new(definitions, &compiled, lanes)?;
        let towers = bundle.retriever.map(|retriever| Arc::new(Retriever(retriever)) as _);
        Ok(Self {
            digest: bundle.digest,
            model: compiled,
            joiner,
            scorer: Arc::new(Ranker(bundle.ranker)),
            towers,
        })
    }

    /// Loads and checks a bundle's directory.
    ///
    /// # Errors
    /// When anything differs from what was written, or from what the definitions expect.
    pub fn open(
        definitions: &Definitions,
        lanes: &[Arc<Lane>],
        model: &str,
        directory: &Path,
    ) -> Result<Self, Error> {
        let bundle = Bundle::load(directory, &expectation(definitions, model)?)?;
        Self::new(definitions, lanes, model, bundle)
    }

    /// The embedding that interest vectors are computed with.
    #[must_use]
    pub fn embedding(&self) -> Option<&dyn Embedding> {
        self.towers.as_ref().map(|towers| towers.as_ref() as &dyn Embedding)
    }
}

impl Snapshot {
    fn new(indexes: Option<Arc<Indexes>>, bundle: Option<Arc<Loaded>>) -> Self {
        let vectors = match (&indexes, bundle.as_ref().and_then(|bundle| bundle.embedding())) {
            (Some(indexes), Some(embedding)) => {
                Some(Arc::new(Vectors::align(&indexes.catalogue, embedding)))
            }
            _ => None,
        };
        Self { indexes, bundle, vectors }
    }
}

impl Tables {
    /// What there is now.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What there is now, with the bundle of that digest if it is still held.
    pub(super) fn pinned(&self, bundle: &str) -> Option<Arc<Snapshot>> {
        let current = self.current();
        let digest = current.bundle.as_ref().map_or("", |bundle| &bundle.digest);
        if digest == bundle {
            return Some(current);
        }
        let earlier = self.0.earlier.read().unwrap_or_else(PoisonError::into_inner).clone();
        let earlier = earlier.filter(|earlier| earlier.digest == bundle)?;
        Some(Arc::new(Snapshot::new(current.indexes.clone(), Some(earlier))))
    }

    /// Swaps the indexes; requests in flight keep the old ones.
    pub fn install_indexes(&self, indexes: Indexes) {
        let indexes = Some(Arc::new(indexes));
        self.swap(|current| (indexes.clone(), current.bundle.clone()));
        tracing::info!("candidate indexes swapped");
    }

    /// Swaps the bundle; requests in flight keep the old one.
    pub fn install_bundle(&self, bundle: Loaded) {
        let digest = bundle.digest.clone();
        let bundle = Arc::new(bundle);
        let before = self.current().bundle.clone();
        self.swap(|current| (current.indexes.clone(), Some(Arc::clone(&bundle))));
        if before.as_ref().is_none_or(|before| before.digest != digest) {
            *self.0.earlier.write().unwrap_or_else(PoisonError::into_inner) = before;
        }
        *self.0.refusal.write().unwrap_or_else(PoisonError::into_inner) = None;
        tracing::info!(bundle = digest, "bundle swapped");
    }

    /// Swaps to a bundle, or keeps the old one and remembers why.
    ///
    /// # Errors
    /// The refusal.
    pub fn try_install(&self, bundle: Result<Loaded, Error>) -> Result<(), Error> {
        match bundle {
            Ok(bundle) => {
                self.install_bundle(bundle);
                Ok(())
            }
            Err(error) => {
                match self.current().bundle {
                    Some(_) => tracing::error!(%error, "bundle refused, the old one goes on"),
                    None => {
                        tracing::error!(%error, "bundle refused, and there is none to go on with")
                    }
                }
                *self.0.refusal.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Why the last bundle was refused, until one is accepted.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.0.refusal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Aligns vectors outside the lock; if another swap came between, does it again.
    fn swap(&self, parts: impl Fn(&Snapshot) -> (Option<Arc<Indexes>>, Option<Arc<Loaded>>)) {
        loop {
            let before = self.current();
            let (indexes, bundle) = parts(&before);
            let after = Arc::new(Snapshot::new(indexes, bundle));
            let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, &before) {
                *current = after;
                return;
            }
        }
    }
}

struct Ranker(models::Ranker);

impl Score for Ranker {
    fn score(&self, inputs: &[f32], rows: usize) -> Vec<f32> {
        self.0.score(inputs, rows)
    }
}

struct Retriever(models::Retriever);

impl Embedding for Retriever {
    fn digest(&self) -> [u8; 32] {
        self.0.digest()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn vector(&self, item: &str) -> Option<&[f32]> {
        self.0.vector(item)
    }
}

impl Towers for Retriever {
    fn query(&self, interest: &[f32]) -> Vec<f32> {
        self.0.query(interest)
    }
}
