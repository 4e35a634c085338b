//! The registry: bundles by digest, and which of them is active.
//!
//! ```text
//! models/
//!   bundles/<digest>/…   immutable
//!   active.json          the pointer and how it came to be, replaced in one step
//!   lock                 held by a writer
//! ```
//!
//! Readers take no lock: they see the pointer before a swap or after it, and what it points to is never
//! changed. A bundle that fails its checks never becomes active; the old one goes on.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::{self, Bundle, Draft, Expectation, Files, Manifest, SEAL, seal};
use crate::{digest, files};

/// Swaps that are remembered; older ones can no longer be rolled back to, but still be activated.
pub const HISTORY_MAX: usize = 100;

/// Why the registry refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bundle is not fit to serve.
    #[error(transparent)]
    Bundle(#[from] bundle::Error),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The pointer is damaged.
    #[error("{path}: {what}; publish a bundle again (`twofold models publish`)")]
    Pointer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// No such bundle.
    #[error("no bundle {wanted}; {} (`twofold models list`)", there_are(.known))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The pointer names a bundle that the registry does not have.
    #[error(
        "{path}: the active bundle {digest} is not in the registry; {}; publish one of them \
         (`twofold models publish`), train again (`twofold train`), or restore it",
        there_are(.known)
    )]
    Gone {
        /// The pointer.
        path: PathBuf,
        /// What it names.
        digest: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing to go back to.
    #[error("no earlier bundle to roll back to")]
    NoEarlier,
    /// Nothing was published.
    #[error("no active bundle; train one with `twofold train`")]
    NoActive,
}

/// What there is to choose from.
fn there_are(known: &[String]) -> String {
    match known.is_empty() {
        true => "there are none".to_owned(),
        false => format!("there are {}", known.join(", ")),
    }
}

/// The pointer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Active {
    /// Counts swaps, so that a poll sees A → B → A.
    pub generation: u64,
    /// Swaps that led here, oldest first; the last one is active.
    pub history: Vec<Swap>,
}

/// One swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// The bundle that became active.
    pub digest: String,
    /// When, in microseconds since the epoch.
    pub at_us: i64,
}

impl Active {
    /// The active bundle's digest.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.history.last().map(|swap| swap.digest.as_str())
    }
}

/// A bundle in the registry.
#[derive(Debug)]
pub struct Entry {
    /// Its digest.
    pub digest: String,
    /// Whether it is the active one.
    pub active: bool,
    /// What it says of itself; an error where it is damaged, so that a list shows it.
    pub manifest: Result<Manifest, String>,
}

/// A registry in a directory.
#[derive(Debug, Clone)]
pub struct Registry {
    root: PathBuf,
}

impl Registry {
    /// The registry under `root` (`DATA/models`), which the first publish makes.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a bundle is.
    #[must_use]
    pub fn dir(&self, digest: &str) -> PathBuf {
        self.root.join("bundles").join(digest)
    }

    fn pointer(&self) -> PathBuf {
        self.root.join("active.json")
    }

    /// The pointer; one small file, cheap enough to poll. Empty before the first publish.
    ///
    /// # Errors
    /// When the pointer cannot be read.
    pub fn active(&self) -> Result<Active, Error> {
        let path = self.pointer();
        let bytes = match files::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Active::default()),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let active: Active = serde_json::from_slice(&bytes)
            .map_err(|e| Error::Pointer { path: path.clone(), what: e.to_string() })?;
        match active.history.iter().find(|swap| !digest::is_sha256(&swap.digest)) {
            Some(swap) => {
                Err(Error::Pointer { path, what: format!("`{}` is no digest", swap.digest) })
            }
            None => Ok(active),
        }
    }

    /// Loads the active bundle.
    ///
    /// # Errors
    /// When there is none, or it fails a check.
    pub fn load_active(&self, expected: &Expectation) -> Result<Bundle, Error> {
        match self.active()?.digest() {
            Some(digest) => match self.load(digest, expected) {
                Err(Error::Unknown { .. }) => Err(self.gone(digest)),
                loaded => loaded,
            },
            None => Err(Error::NoActive),
        }
    }

    /// Loads a bundle by its digest, or by a beginning of it that only one has.
    ///
    /// # Errors
    /// When there is no such bundle, or it fails a check.
    pub fn load(&self, digest: &str, expected: &Expectation) -> Result<Bundle, Error> {
        let digest = self.resolve(digest)?;
        Ok(Bundle::load(&self.dir(&digest), expected)?)
    }

    /// Every bundle, newest first as their manifests say; those that are damaged come last. Reads every
    /// file, since a list that takes a damaged bundle for a whole one is of no use.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, Error> {
        let active = self.active()?;
        let entry = |digest: String| {
            let files = Files::read(&self.dir(&digest));
            let manifest = files.map(|files| files.manifest).map_err(|error| error.to_string());
            Entry { active: active.digest() == Some(&digest), manifest, digest }
        };
        let mut entries: Vec<Entry> = self.digests()?.into_iter().map(entry).collect();
        // Stable: bundles of the same time stay in the order of their digests.
        let created_at_us = |entry: &Entry| entry.manifest.as_ref().ok().map(|m| m.created_at_us);
        entries.sort_by_key(|entry| Reverse(created_at_us(entry)));
        Ok(entries)
    }

    /// Writes a draft, checks it as the service would, and makes it active. Returns its digest.
    ///
    /// # Errors
    /// When it fails a check; then it is removed and the old one stays active.
    pub fn publish(
        &self,
        draft: &Draft,
        expected: &Expectation,
        at_us: i64,
    ) -> Result<String, Error> {
        let (digest, files) = draft.files();
        self.publish_files(&digest, &files, expected, at_us)?;
        Ok(digest)
    }

    /// Copies a bundle's directory in, checks it, and makes it active: for one trained elsewhere.
    ///
    /// # Errors
    /// When it fails a check; then nothing changes.
    pub fn import(&self, dir: &Path, expected: &Expectation, at_us: i64) -> Result<String, Error> {
        let bundle = Bundle::load_to_publish(dir, expected)?;
        let names = bundle.manifest.files.iter().map(|f| f.name.as_str());
        let read = |name: &str| {
            let path = dir.join(name);
            let bytes = files::read(&path).map_err(|source| Error::Io { path, source })?;
            Ok((name.to_owned(), bytes))
        };
        let mut files =
            names.chain(["manifest.json"]).map(read).collect::<Result<Vec<_>, Error>>()?;
        // One that came without it was named by its digest, and may be copied on from here.
        files.push((SEAL.to_owned(), seal(&bundle.digest)));
        self.publish_files(&bundle.digest, &files, expected, at_us)?;
        Ok(bundle.digest)
    }

    /// Makes a bundle of the registry active, by its digest or a beginning of it.
    ///
    /// # Errors
    /// When there is no such bundle or it fails a check.
    pub fn activate(
        &self,
        digest: &str,
        expected: &Expectation,
        at_us: i64,
    ) -> Result<String, Error> {
        let _lock = self.lock()?;
        let digest = self.resolve(digest)?;
        Bundle::load_to_publish(&self.dir(&digest), expected)?;
        self.point(&digest, at_us)?;
        Ok(digest)
    }

    /// Goes back to the bundle before the active one, and returns its digest.
    ///
    /// # Errors
    /// When there is none, or it fails a check; then nothing changes.
    pub fn rollback(&self, expected: &Expectation) -> Result<String, Error> {
        let _lock = self.lock()?;
        let mut active = self.active()?;
        active.history.pop();
        let digest = active.digest().ok_or(Error::NoEarlier)?.to_owned();
        Bundle::load(&self.dir(&digest), expected)?;
        active.generation += 1;
        self.write(&active)?;
        Ok(digest)
    }

    fn publish_files(
        &self,
        digest: &str,
        files: &[(String, Vec<u8>)],
        expected: &Expectation,
        at_us: i64,
    ) -> Result<(), Error> {
        let _lock = self.lock()?;
        let dir = self.dir(digest);
        let fresh = !dir.exists();
        if fresh {
            files::publish_dir(&dir, files)
                .map_err(|source| Error::Io { path: dir.clone(), source })?;
        }
        if let Err(refused) = Bundle::load_to_publish(&dir, expected) {
            if fresh {
                fs::remove_dir_all(&dir).map_err(|source| Error::Io { path: dir, source })?;
            }
            return Err(refused.into());
        }
        self.point(digest, at_us)
    }

    fn point(&self, digest: &str, at_us: i64) -> Result<(), Error> {
        let mut active = match self.active() {
            // What it said is lost; publishing is the remedy.
            Err(Error::Pointer { .. }) => Active::default(),
            other => other?,
        };
        if active.digest() == Some(digest) {
            return Ok(());
        }
        active.generation += 1;
        active.history.push(Swap { digest: digest.to_owned(), at_us });
        let old = active.history.len().saturating_sub(HISTORY_MAX);
        active.history.drain(..old);
        self.write(&active)
    }

    fn write(&self, active: &Active) -> Result<(), Error> {
        let path = self.pointer();
        let mut bytes = serde_json::to_vec_pretty(active).expect("strings and integers");
        bytes.push(b'\n');
        files::replace(&path, &bytes).map_err(|source| Error::Io { path, source })
    }

    /// One writer at a time; the lock goes with the file handle, so a killed writer leaves none.
    fn lock(&self) -> Result<File, Error> {
        let bundles = self.root.join("bundles");
        fs::create_dir_all(&bundles).map_err(|source| Error::Io { path: bundles, source })?;
        let path = self.root.join("lock");
        let file = File::create(&path).and_then(|file| file.lock().map(|()| file));
        file.map_err(|source| Error::Io { path, source })
    }

    /// The pointer, where it is missing though there are bundles: which one was active is not known then.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn lost_pointer(&self) -> Result<Option<PathBuf>, Error> {
        let path = self.pointer();
        let io = |source| Error::Io { path: path.clone(), source };
        Ok((!path.try_exists().map_err(io)? && !self.digests()?.is_empty()).then_some(path))
    }

    /// What is to be said where the pointer names a bundle that is not there.
    #[must_use]
    pub fn gone(&self, digest: &str) -> Error {
        let known = self.digests().unwrap_or_default();
        Error::Gone { path: self.pointer(), digest: digest.to_owned(), known }
    }

    /// Digests of the bundles that are there, ascending; reads none of them.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn digests(&self) -> Result<Vec<String>, Error> {
        let path = self.root.join("bundles");
        let io = |source| Error::Io { path: path.clone(), source };
        let mut digests = Vec::new();
        if !path.try_exists().map_err(io)? {
            return Ok(digests);
        }
        for entry in fs::read_dir(&path).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            digests.extend(name.to_str().filter(|name| digest::is_sha256(name)).map(str::to_owned));
        }
        digests.sort();
        Ok(digests)
    }

    fn resolve(&self, wanted: &str) -> Result<String, Error> {
        let known = self.digests()?;
        let mut fitting = known.iter().filter(|digest| digest.starts_with(wanted));
        match (fitting.next(), fitting.next()) {
            (Some(digest), None) if wanted.len() >= 4 => Ok(digest.clone()),
            _ => Err(Error::Unknown { wanted: wanted.to_owned(), known }),
        }
    }
}

#[cfg(test)]
mod tests;
