//! Loading: every check that needs no number first, then the numbers, then a try.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Bundle, Error, Expectation, Manifest, RetrieverEntry, SEAL, VERSION, seal};
use crate::training_set::{FileEntry, TASKS};
use crate::{Ranker, Retriever, digest, retriever, tensors};

impl Bundle {
    /// Loads a bundle: checksums, definition hash, inputs and retriever, shapes, and only then numbers;
    /// golden vectors; one warm-up. What it returns can serve at once.
    ///
    /// The manifest's own checksum lies beside it in [`SEAL`], or is the directory's name, so a flipped bit
    /// of the manifest itself is found as well.
    ///
    /// # Errors
    /// When anything differs from what was written, or from what the definitions expect.
    pub fn load(dir: &Path, expected: &Expectation) -> Result<Self, Error> {
        let Files { digest, manifest, bytes } = Files::read(dir)?;
        agrees(&digest, &manifest, expected)?;
        let file = |name: &str| {
            bytes
                .get(name)
                .map(Vec::as_slice)
                .ok_or_else(|| Error::Missing { path: dir.join(name) })
        };
        let ranker = load_ranker(dir, &manifest, file("ranker.safetensors")?)?;
        let retriever = match &manifest.retriever {
            Some(_) => Some(load_retriever(
                dir,
                &manifest,
                file("items.json")?,
                file("retriever.safetensors")?,
            )?),
            None => None,
        };
        manifest.golden.check(&ranker)?;
        warm_up(&ranker, retriever.as_ref());
        Ok(Self { digest, manifest, ranker, retriever })
    }

    /// As [`Bundle::load`], for a bundle that is to become the active one: the definitions must have the
    /// model that it names. The definition's hash does not hold that name.
    ///
    /// # Errors
    /// As [`Bundle::load`], and when there is no such model.
    pub(crate) fn load_to_publish(dir: &Path, expected: &Expectation) -> Result<Self, Error> {
        let bundle = Self::load(dir, expected)?;
        if expected.models.contains(&bundle.manifest.model) {
            return Ok(bundle);
        }
        let (found, known) = (bundle.manifest.model, expected.models.clone());
        Err(Error::Model { bundle: bundle.digest, found, known })
    }
}

/// A bundle's files, each with the checksum that the manifest says.
pub(crate) struct Files {
    digest: String,
    pub(crate) manifest: Manifest,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Files {
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let bytes = read(dir, "manifest.json")?;
        let digest = digest::sha256(&bytes);
        vouched(dir, &digest)?;
        let manifest = parse(&dir.join("manifest.json"), &bytes)?;
        let mut bytes = BTreeMap::new();
        for entry in &manifest.files {
            bytes.insert(entry.name.clone(), checked(dir, entry)?);
        }
        Ok(Self { digest, manifest, bytes })
    }
}

/// Compares the manifest's digest with the directory's name, where that is one, and with [`SEAL`], which
/// only a directory of such a name may lack: registries hold bundles from before there was one.
fn vouched(dir: &Path, digest: &str) -> Result<(), Error> {
    let path = dir.join("manifest.json");
    let named = dir.file_name().and_then(|name| name.to_str());
    let named = named.filter(|name| digest::is_sha256(name));
    if let Some(name) = named
        && name != digest
    {
        let (found, expected) = (digest.to_owned(), name.to_owned());
        return Err(Error::Checksum { path, found, expected });
    }
    match read(dir, SEAL) {
        Ok(bytes) if bytes == seal(digest) => Ok(()),
        Ok(bytes) => {
            let expected = String::from_utf8_lossy(&bytes).trim_end().chars().take(80).collect();
            Err(Error::Seal { path, found: digest.to_owned(), expected })
        }
        Err(Error::Missing { .. }) if named.is_some() => Ok(()),
        Err(Error::Missing { path }) => Err(Error::Unsealed { path }),
        Err(error) => Err(error),
    }
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let path = dir.join(name);
    crate::files::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Missing { path },
        _ => Error::Io { path, source },
    })
}

fn checked(dir: &Path, entry: &FileEntry) -> Result<Vec<u8>, Error> {
    let bytes = read(dir, &entry.name)?;
    let found = digest::sha256(&bytes);
    if found == entry.sha256 {
        return Ok(bytes);
    }
    let expected = entry.sha256.clone();
    Err(Error::Checksum { path: dir.join(&entry.name), found, expected })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, Error> {
    let wrong = |what: String| Error::Manifest { path: path.to_owned(), what };
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
    let width = manifest.inputs.len();
    let ranker = &manifest.ranker;
    let golden = &manifest.golden;
    if manifest.version != VERSION {
        return Err(Error::Version { path: path.to_owned(), found: manifest.version });
    }
    let what = if ranker.shape.inputs != width {
        format!("the ranker has {} inputs, `inputs` names {width}", ranker.shape.inputs)
    } else if ranker.normalisation.mean.len() != width || ranker.normalisation.scale.len() != width
    {
        format!("`normalisation` must have {width} means and scales")
    } else if !ranker.normalisation.scale.iter().all(|s| s.is_finite() && *s > 0.0) {
        "a scale of `normalisation` is not above 0".to_owned()
    } else if golden.inputs.is_empty() || golden.inputs.len() != golden.scores.len() {
        "`golden` must have rows, and a score for each".to_owned()
    } else if golden.inputs.iter().any(|row| row.len() != width) {
        format!("each row of `golden` must have {width} inputs")
    } else if let Some(file) = manifest.files.iter().find(|f| f.name.contains(['/', '\\'])) {
        format!("file `{}` is not in the directory", file.name)
    } else {
        return Ok(manifest);
    };
    Err(wrong(what))
}

fn agrees(digest: &str, manifest: &Manifest, expected: &Expectation) -> Result<(), Error> {
    // Inputs first: where they differ the hash does too, and names say more than hashes.
    if manifest.inputs != expected.inputs {
        return Err(Error::Inputs {
            bundle: digest.to_owned(),
            found: manifest.inputs.clone(),
            expected: expected.inputs.clone(),
        });
    }
    if manifest.definition_hash != expected.definition_hash {
        return Err(Error::Definition {
            bundle: digest.to_owned(),
            found: manifest.definition_hash.clone(),
            expected: expected.definition_hash.clone(),
        });
    }
    let bundle = digest.to_owned();
    match (&manifest.retriever, expected.half_life_us) {
        (None, _) if expected.retriever => Err(Error::NoRetriever { bundle }),
        (Some(RetrieverEntry { half_life_us: found, .. }), Some(expected))
            if *found != expected =>
        {
            Err(Error::HalfLife { bundle, found: *found, expected })
        }
        _ => Ok(()),
    }
}

fn load_ranker(dir: &Path, manifest: &Manifest, bytes: &[u8]) -> Result<Ranker, Error> {
    let entry = &manifest.ranker;
    let tensors = tensors::decode(bytes, &entry.shape.tensors())
        .map_err(|source| Error::Tensors { path: dir.join("ranker.safetensors"), source })?;
    let (inputs, normalisation) = (manifest.inputs.clone(), entry.normalisation.clone());
    Ok(Ranker::new(inputs, entry.shape.clone(), normalisation, entry.mix, tensors))
}

fn load_retriever(
    dir: &Path,
    manifest: &Manifest,
    items: &[u8],
    bytes: &[u8],
) -> Result<Retriever, Error> {
    let entry = manifest.retriever.as_ref().expect("the caller looked");
    let wrong = |name: &str, what: String| Error::Manifest { path: dir.join(name), what };
    let ids: Vec<String> =
        serde_json::from_slice(items).map_err(|e| wrong("items.json", e.to_string()))?;
    if ids.len() != entry.items || entry.dimension == 0 {
        let what = format!("{} items, the manifest says {}", ids.len(), entry.items);
        return Err(wrong("items.json", what));
    }
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        let what = format!("`{}` and `{}` are not in ascending order", pair[0], pair[1]);
        return Err(wrong("items.json", what));
    }
    let tensors = tensors::decode(bytes, &retriever::shapes(entry.items, entry.dimension))
        .map_err(|source| Error::Tensors { path: dir.join("retriever.safetensors"), source })?;
    let ids = ids.into_iter().map(Arc::from).collect();
    let retriever = Retriever::new(ids, tensors, entry.half_life_us, entry.trained_to_us);
    let found = digest::hex(&retriever.digest());
    if found != entry.digest {
        let path = dir.join("retriever.safetensors");
        return Err(Error::Checksum { path, found, expected: entry.digest.clone() });
    }
    Ok(retriever)
}

/// The first call allocates and touches every page; no request should pay for it.
fn warm_up(ranker: &Ranker, retriever: Option<&Retriever>) {
    let width = ranker.inputs().len();
    let scores = ranker.score(&vec![0.0; 512 * width], 512);
    debug_assert_eq!(scores.len(), 512);
    debug_assert_eq!(ranker.mix().len(), TASKS.len());
    if let Some(retriever) = retriever {
        let _ = retriever.query(&vec![0.0; retriever.dimension()]);
    }
}
