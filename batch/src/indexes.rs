//! Candidate indexes on disk: `<digest>/indexes.bin`, named by content, and `latest.json` beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candidates::index::Indexes;
use record::EventTime;
use serde::{Deserialize, Serialize};

use crate::history::{History, IDLE_US};
use crate::{Error, files};

/// What `latest.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// Digest of the indexes, lower-case hex.
    pub digest: String,
    /// Only what happened before this is in them, in microseconds since the epoch.
    pub cut_us: i64,
}

/// A directory of indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

const REMEDY: &str = "run `twofold backfill`, which makes them again";

/// The indexes as they were known at `cut`: from sessions that had been quiet for half an hour.
#[must_use]
pub fn at(history: &History, cut: EventTime) -> Indexes {
    build(history, cut, IDLE_US)
}

/// The indexes of everything that the history holds, open sessions as well: for serving, where there is
/// no label to leak. `None` where there is no event.
#[must_use]
pub fn of_everything(history: &History) -> Option<Indexes> {
    let (_, last) = history.span()?;
    Some(build(history, last.plus(1), 0))
}

fn build(history: &History, cut: EventTime, idle_us: i64) -> Indexes {
    let topic = &history.lane.source.topic;
    let positions = history.positions(cut).into_iter();
    let positions: BTreeMap<_, _> =
        positions.map(|(partition, next)| ((topic.clone(), partition.0), next)).collect();
    Indexes::build(cut.0, positions, history.sessions(cut, idle_us))
}

impl Store {
    /// The indexes under a directory.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn file(&self, digest: &str) -> PathBuf {
        self.root.join(digest).join("indexes.bin")
    }

    /// Writes indexes under their digest, unless they are there already and whole.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn publish(&self, indexes: &Indexes) -> Result<String, Error> {
        let digest = indexes.digest_hex();
        let file = self.file(&digest);
        if !matches!(self.load(&digest), Ok(Some(_))) {
            files::create_dir(file.parent().expect("the file lies in a directory"))?;
            files::write(&file, &indexes.encode())?;
            files::sync_dir(&self.root)?;
        }
        Ok(digest)
    }

    /// Makes indexes the ones to serve.
    ///
    /// # Errors
    /// When they know less of a log than those that are served now: part of the archive is gone. Or when
    /// they cannot be written.
    pub fn set_latest(&self, indexes: &Indexes) -> Result<(), Error> {
        self.refuse_a_step_back(indexes)?;
        let latest = Latest { digest: self.publish(indexes)?, cut_us: indexes.cut_us };
        let json = serde_json::to_vec_pretty(&latest).expect("plain data");
        files::write(&self.root.join("latest.json"), &json)
    }

    fn refuse_a_step_back(&self, indexes: &Indexes) -> Result<(), Error> {
        // What is damaged is made again, and says nothing of what it knew.
        let Ok(Some(latest)) = self.latest() else { return Ok(()) };
        let Ok(Some(served)) = self.load(&latest.digest) else { return Ok(()) };
        let known = |place| indexes.positions.get(place).copied().unwrap_or(0);
        match served.positions.iter().find(|(place, next)| known(place) < **next) {
            None => Ok(()),
            Some((place @ (topic, partition), next)) => Err(Error::Missing {
                what: format!(
                    "the archive holds topic {topic} partition {partition} up to {}, but the indexes \
                     {} were made of what was there up to {next}",
                    known(place),
                    latest.digest
                ),
                remedy: "restore the archive's files, or run `twofold archive`; to start anew with a \
                         smaller log, move the directory `indexes` away",
            }),
        }
    }

    /// Which indexes are to be served, if any were built.
    ///
    /// # Errors
    /// When `latest.json` cannot be read.
    pub fn latest(&self) -> Result<Option<Latest>, Error> {
        let path = self.root.join("latest.json");
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |what: String| Error::Damaged { path: path.clone(), what, remedy: REMEDY };
        let latest = serde_json::from_slice(&files::read(&path)?);
        latest.map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Reads indexes by digest; `None` where they are not there.
    ///
    /// # Errors
    /// When they are damaged or are not what their name says.
    pub fn load(&self, digest: &str) -> Result<Option<Indexes>, Error> {
        let path = self.file(digest);
        if !is_digest(digest) || !path.exists() {
            return Ok(None);
        }
        let damaged = |what: String| Error::Damaged { path: path.clone(), what, remedy: REMEDY };
        let indexes = Indexes::decode(&files::read(&path)?).map_err(|e| damaged(e.to_string()))?;
        if indexes.digest_hex() != digest {
            return Err(damaged(format!("it holds the indexes {}", indexes.digest_hex())));
        }
        Ok(Some(indexes))
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn is_digest(text: &str) -> bool {
    files::unhex::<32>(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candidates::index::Session;
    use std::sync::Arc;

    #[test]
    fn indexes_come_back_by_digest_and_a_flipped_bit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!(store.latest().unwrap(), None);
        let session = Session { items: ["a", "b"].map(Arc::from).to_vec(), end_us: 1 };
        let indexes = Indexes::build(10, BTreeMap::new(), [session]);
        store.set_latest(&indexes).unwrap();
        let latest = store.latest().unwrap().unwrap();
        assert_eq!(store.load(&latest.digest).unwrap(), Some(indexes.clone()));
        assert_eq!(store.load("../../etc").unwrap(), None);
        assert_eq!(store.load(&"0".repeat(64)).unwrap(), None);
        let file = store.file(&latest.digest);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(store.load(&latest.digest), Err(Error::Damaged { .. })));
        // Made again, they are whole again; so is a pointer that was torn.
        std::fs::write(dir.path().join("latest.json"), "{").unwrap();
        assert!(matches!(store.latest(), Err(Error::Damaged { .. })));
        store.set_latest(&indexes).unwrap();
        assert_eq!(store.latest().unwrap(), Some(latest.clone()));
        assert_eq!(store.load(&latest.digest).unwrap(), Some(indexes));
    }

    #[test]
    fn indexes_that_know_less_of_a_log_are_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let to = |ends: &[u64]| {
            let places =
                ends.iter().zip(0..).map(|(next, p)| (("clickstream".to_owned(), p), *next));
            Indexes::build(10, places.collect(), [])
        };
        store.set_latest(&to(&[5, 7])).unwrap();
        for less in [&[5, 6][..], &[5], &[]] {
            let error = store.set_latest(&to(less)).unwrap_err().to_string();
            assert!(error.contains("clickstream") && error.contains("`indexes`"), "{error}");
        }
        store.set_latest(&to(&[5, 8])).unwrap();
    }
}
