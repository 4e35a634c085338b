//! Candidate indexes on disk: `<digest>/indexes.bin`, named by content, and `latest.json` beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candidates::index::Indexes;
use record::{EventTime, Offset, Partition};
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
    /// What they were made of.
    #[serde(default)]
    pub of: Option<Archived>,
}

/// As much of a topic as a back-fill read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// The topic.
    pub topic: String,
    /// Id of the log.
    pub log: String,
    /// End of each partition.
    pub ends: Vec<u64>,
}

impl Archived {
    /// What a history was read from.
    #[must_use]
    pub fn of(history: &History) -> Self {
        Self {
            topic: history.lane.source.topic.clone(),
            log: history.extent.log.to_string(),
            ends: history.extent.ends.iter().map(|end| end.0).collect(),
        }
    }

    fn refuse_less_than(&self, before: &Self) -> Result<(), Error> {
        if (&self.topic, &self.log) != (&before.topic, &before.log) {
            return Ok(());
        }
        for (expected, partition) in before.ends.iter().zip(0..) {
            let found = self.ends.get(partition as usize).copied().unwrap_or(0);
            if found < *expected {
                let (found, expected) = (Offset(found), Offset(*expected));
                let (topic, partition) = (self.topic.clone(), Partition(partition));
                return Err(Error::StepBack { topic, partition, found, expected });
            }
        }
        Ok(())
    }
}

/// A directory of indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

const REMEDY: &str = "run `twofold backfill`, which makes the newest again; remove older ones, and answers made with them \
                      are skipped and counted";

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

    /// Where indexes of that digest are.
    #[must_use]
    pub fn file(&self, digest: &str) -> PathBuf {
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

    /// Makes indexes the ones to serve, which were made of `of`.
    ///
    /// # Errors
    /// [`Error::StepBack`] when the last ones were made of more of the same log: part of the archive is
    /// gone. Or when they cannot be written.
    pub fn set_latest(&self, indexes: &Indexes, of: &Archived) -> Result<(), Error> {
        // A pointer that is damaged is made again, and says nothing of what it knew.
        if let Ok(Some(Latest { of: Some(before), .. })) = self.latest() {
            of.refuse_less_than(&before)?;
        }
        let latest =
            Latest { digest: self.publish(indexes)?, cut_us: indexes.cut_us, of: Some(of.clone()) };
        let json = serde_json::to_vec_pretty(&latest).expect("plain data");
        files::write(&self.root.join("latest.json"), &json)
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

    fn of(log: &str, ends: &[u64]) -> Archived {
        Archived { topic: "clickstream".to_owned(), log: log.to_owned(), ends: ends.to_vec() }
    }

    #[test]
    fn indexes_come_back_by_digest_and_a_flipped_bit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!(store.latest().unwrap(), None);
        let session = Session { items: ["a", "b"].map(Arc::from).to_vec(), end_us: 1 };
        let indexes = Indexes::build(10, BTreeMap::new(), [session]);
        store.set_latest(&indexes, &of("a", &[2])).unwrap();
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
        store.set_latest(&indexes, &of("a", &[2])).unwrap();
        assert_eq!(store.latest().unwrap(), Some(latest.clone()));
        assert_eq!(store.load(&latest.digest).unwrap(), Some(indexes));
    }

    #[test]
    fn what_was_made_of_less_of_a_log_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let indexes = Indexes::build(10, BTreeMap::new(), []);
        store.set_latest(&indexes, &of("a", &[5, 7])).unwrap();
        for less in [&[5, 6][..], &[5], &[]] {
            let error = store.set_latest(&indexes, &of("a", less)).unwrap_err();
            assert!(matches!(error, Error::StepBack { .. }), "{error}");
            assert!(error.to_string().contains("clickstream"), "{error}");
        }
        store.set_latest(&indexes, &of("a", &[5, 8])).unwrap();
        // Another log begins anew.
        store.set_latest(&indexes, &of("b", &[1])).unwrap();
    }
}
