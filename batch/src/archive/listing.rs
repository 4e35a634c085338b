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

/// The files of a partition's directory. A part is a Parquet file with the summary that is written before
/// it; either of them alone is what a killed run or a careless hand left, and is written again.
#[derive(Debug, Default)]
pub(super) struct Listing {
    dir: PathBuf,
    /// Whole pairs, by offset.
    parts: Vec<Part>,
    /// Parquet files that lack themselves or their summary.
    halves: Vec<Part>,
}

impl Listing {
    /// Looks at a directory; one that is not there is empty.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let (mut files, mut summaries) = (Vec::new(), Vec::new());
        if dir.is_dir() {
            for entry in std::fs::read_dir(dir).map_err(Error::io(dir))? {
                let path = entry.map_err(Error::io(dir))?.path();
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some("parquet") => files.extend(part(path)),
                    Some("json") => summaries.extend(part(path.with_extension("parquet"))),
                    _ => {}
                }
            }
        }
        files.sort_unstable();
        summaries.sort_unstable();
        let has = |sorted: &[Part], part: &Part| sorted.binary_search(part).is_ok();
        let lone = summaries.iter().filter(|summary| !has(&files, summary)).cloned();
        let mut halves: Vec<Part> = lone.collect();
        let (parts, unsummed) = files.into_iter().partition(|file| has(&summaries, file));
        halves.extend::<Vec<Part>>(unsummed);
        Ok(Self { dir: dir.to_owned(), parts, halves })
    }

    /// The files that join without a gap from offset 0, in order.
    ///
    /// # Errors
    /// When files overlap.
    pub(super) fn whole(&self) -> Result<&[Part], Error> {
        let mut expected = Offset(0);
        for (at, part) in self.parts.iter().enumerate() {
            if part.first > expected {
                return Ok(&self.parts[..at]);
            }
            if part.first < expected {
                return Err(overlap(part, expected));
            }
            expected = part.next;
        }
        Ok(&self.parts)
    }

    /// [`Listing::whole`], which must reach what was published.
    pub(super) fn up_to(&self, published: Offset) -> Result<Vec<Part>, Error> {
        let whole = self.whole()?;
        let end = whole.last().map_or(Offset(0), |part| part.next);
        if end >= published {
            return Ok(whole.to_vec());
        }
        let half = self.halves.iter().find(|half| half.first <= end && half.next > end);
        let next = self.parts.get(whole.len());
        let what = match (half, next) {
            (Some(half), _) if half.path.exists() => "has no summary beside it".to_owned(),
            (Some(_), _) => "is not there, though its summary is".to_owned(),
            (None, Some(next)) => format!("offsets {end}..{} are in no file", next.first),
            (None, None) => format!("offsets {end}..{published} are in no file"),
        };
        Err(Error::Damaged {
            path: half.map_or_else(|| self.dir.clone(), |half| half.path.clone()),
            what,
            remedy: "restore it, or run `twofold archive` while the log still holds these offsets",
        })
    }

    /// Where the files end, gaps or not: the log held everything before.
    pub(super) fn end(&self) -> Offset {
        let parts = self.parts.iter().chain(&self.halves);
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
                return Err(overlap(part, expected));
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

    /// Removes halves; when every hole is filled. Those that were made whole stay.
    pub(super) fn forget_halves(&self) -> Result<(), Error> {
        for half in &self.halves {
            let summary = Summary::path(&half.path);
            if half.path.exists() && summary.exists() {
                continue;
            }
            for file in [&half.path, &summary] {
                if file.exists() {
                    std::fs::remove_file(file).map_err(Error::io(file))?;
                }
            }
        }
        Ok(())
    }
}

fn overlap(part: &Part, expected: Offset) -> Error {
    Error::Gap { path: part.path.clone(), expected, found: part.first }
}

/// The part that a path names, if it names one.
fn part(path: PathBuf) -> Option<Part> {
    let range = path.file_name()?.to_str()?.strip_suffix(".parquet")?;
    let (first, next) = range.split_once('-')?;
    Some(Part { first: Offset(first.parse().ok()?), next: Offset(next.parse().ok()?), path })
}
