//! What lies in a partition's directory, and whether it joins.

use std::path::{Path, PathBuf};

use record::Offset;

use super::summary::Summary;
use crate::Error;

/// A file of the archive, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) first: Offset,
    pub(crate) next: Offset,
    pub(crate) path: PathBuf,
}

/// The files of a partition's directory. A summary is written before its Parquet file, so one that
/// stands alone tells of a file that a killed run did not finish or that somebody removed: either way
/// these offsets were in the log, and an archive without them is not whole.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Parquet files, by offset.
    parts: Vec<Part>,
    /// Parquet files of which only the summary is there.
    missing: Vec<Part>,
}

impl Listing {
    /// Looks at a directory; one that is not there is empty.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let mut listing = Self::default();
        if !dir.is_dir() {
            return Ok(listing);
        }
        let mut summaries = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
            let path = entry.map_err(Error::io(dir))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("parquet") => listing.parts.extend(part(path)),
                Some("json") => summaries.extend(part(path.with_extension("parquet"))),
                _ => {}
            }
        }
        listing.parts.sort_unstable();
        summaries.retain(|summary| listing.parts.binary_search(summary).is_err());
        summaries.sort_unstable();
        listing.missing = summaries;
        Ok(listing)
    }

    /// The files in order, which join without gap or overlap from offset 0 and have none missing.
    pub(super) fn joined(self) -> Result<Vec<Part>, Error> {
        let mut expected = Offset(0);
        for part in &self.parts {
            if part.first != expected {
                let (path, found) = (part.path.clone(), part.first);
                return Err(Error::Gap { path, expected, found });
            }
            expected = part.next;
        }
        match self.missing.into_iter().find(|missing| missing.next > expected) {
            Some(missing) => Err(Error::Damaged {
                path: missing.path,
                what: "is not there, though its summary is".to_owned(),
                remedy: "restore it, or run `twofold archive` while the log still holds these offsets",
            }),
            None => Ok(self.parts),
        }
    }

    /// Where the archive has once ended: the log held everything before.
    pub(super) fn end(&self) -> Offset {
        let parts = self.parts.iter().chain(&self.missing);
        parts.map(|part| part.next).max().unwrap_or(Offset(0))
    }

    /// Offsets before `end` that no file holds, in order.
    ///
    /// # Errors
    /// When files overlap.
    pub(super) fn holes(&self, end: Offset) -> Result<Vec<(Offset, Offset)>, Error> {
        let mut holes = Vec::new();
        let mut expected = Offset(0);
        for part in &self.parts {
            if part.first < expected {
                let (path, found) = (part.path.clone(), part.first);
                return Err(Error::Gap { path, expected, found });
            }
            if part.first > expected {
                holes.push((expected, part.first));
            }
            expected = part.next;
        }
        if end > expected {
            holes.push((expected, end));
        }
        Ok(holes)
    }

    /// Removes the summaries of files that are not there; when every hole is filled.
    pub(super) fn forget_missing(&self) -> Result<(), Error> {
        for part in &self.missing {
            let summary = Summary::path(&part.path);
            // The same range may have been written again: then the summary is that file's.
            if !part.path.exists() && summary.exists() {
                std::fs::remove_file(&summary).map_err(Error::io(&summary))?;
            }
        }
        Ok(())
    }
}

/// The part that a path names, if it names one.
fn part(path: PathBuf) -> Option<Part> {
    let range = path.file_name()?.to_str()?.strip_suffix(".parquet")?;
    let (first, next) = range.split_once('-')?;
    Some(Part { first: Offset(first.parse().ok()?), next: Offset(next.parse().ok()?), path })
}
