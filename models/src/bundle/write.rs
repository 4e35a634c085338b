//! A bundle that is about to be written.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, Golden, Manifest, RankerEntry, RetrieverEntry, SEAL, VERSION, seal};
use crate::training_set::{FileEntry, TrainingSet};
use crate::{Ranker, Retriever, digest, files, tensors};

/// What goes into a bundle.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Name of the model.
    pub model: String,
    /// Microseconds since the epoch; from the caller's clock.
    pub created_at_us: i64,
    /// Hash of the model's definition, as lower-case hex.
    pub definition_hash: String,
    /// Orders candidates.
    pub ranker: Ranker,
    /// Item vectors; `None` where the model was trained without.
    pub retriever: Option<Retriever>,
    /// Digest of the training set.
    pub training_set: String,
    /// Time of the latest event that anything in it knows, in microseconds since the epoch.
    pub trained_to_us: i64,
    /// Seed of the training.
    pub seed: u64,
    /// What the training measured.
    pub metrics: BTreeMap<String, f64>,
    /// Rows with their scores; [`Golden::of`] makes them.
    pub golden: Golden,
}

impl Draft {
    /// The bundle of a training: model name, definition hash and golden rows come from the set.
    ///
    /// The retriever may know later events than the one that the set was made with: what counts is that
    /// no example knew its own label.
    #[must_use]
    pub fn trained(
        set: &TrainingSet,
        ranker: Ranker,
        retriever: Option<Retriever>,
        metrics: BTreeMap<String, f64>,
        seed: u64,
        created_at_us: i64,
    ) -> Self {
        Self {
            model: set.manifest.model.clone(),
            created_at_us,
            definition_hash: set.manifest.definition_hash.clone(),
            golden: Golden::of(&ranker, set, 16),
            ranker,
            training_set: set.digest.clone(),
            trained_to_us: retriever
                .as_ref()
                .map_or(i64::MIN, Retriever::trained_to_us)
                .max(set.manifest.spine_to_us),
            retriever,
            seed,
            metrics,
        }
    }

    /// Every file with its bytes, and the bundle's digest. The same draft gives the same bytes.
    pub(crate) fn files(&self) -> (String, Vec<(String, Vec<u8>)>) {
        let mut out =
            vec![("ranker.safetensors".to_owned(), tensors::encode(self.ranker.tensors()))];
        if let Some(retriever) = &self.retriever {
            let ids: Vec<&str> = retriever.items().iter().map(|id| &**id).collect();
            let items = serde_json::to_vec(&ids).expect("a list of strings");
            out.push(("items.json".to_owned(), items));
            let bytes = tensors::encode(&retriever.tensors());
            out.push(("retriever.safetensors".to_owned(), bytes));
        }
        let entry = |(name, bytes): &(String, Vec<u8>)| FileEntry {
            name: name.clone(),
            sha256: digest::sha256(bytes),
            bytes: bytes.len() as u64,
        };
        let manifest = self.manifest(out.iter().map(entry).collect());
        let mut bytes = serde_json::to_vec_pretty(&manifest).expect("finite numbers and strings");
        bytes.push(b'\n');
        let digest = digest::sha256(&bytes);
        out.push(("manifest.json".to_owned(), bytes));
        out.push((SEAL.to_owned(), seal(&digest)));
        (digest, out)
    }

    fn manifest(&self, files: Vec<FileEntry>) -> Manifest {
        Manifest {
            version: VERSION,
            model: self.model.clone(),
            created_at_us: self.created_at_us,
            definition_hash: self.definition_hash.clone(),
            inputs: self.ranker.inputs().to_vec(),
            ranker: RankerEntry {
                shape: self.ranker.shape().clone(),
                normalisation: self.ranker.normalisation().clone(),
                mix: self.ranker.mix(),
            },
            retriever: self.retriever.as_ref().map(|r| RetrieverEntry {
                items: r.items().len(),
                dimension: r.dimension(),
                half_life_us: r.half_life_us(),
                trained_to_us: r.trained_to_us(),
                digest: digest::hex(&r.digest()),
            }),
            training_set: self.training_set.clone(),
            trained_to_us: self.trained_to_us,
            seed: self.seed,
            metrics: self.metrics.clone(),
            golden: self.golden.clone(),
            files,
        }
    }

    /// Writes a bundle into a directory that must not exist: it appears whole, or not at all. Returns
    /// the digest.
    ///
    /// # Errors
    /// When the directory exists or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<String, Error> {
        let (digest, files) = self.files();
        let io = |source| Error::Io { path: dir.to_owned(), source };
        files::publish_dir(dir, &files).map_err(io)?;
        Ok(digest)
    }
}
