use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, files};

/// What an archive file holds, as JSON beside it: enough to judge a file without reading it, and to
/// know how far its records can have moved a watermark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Of this format.
    pub version: u32,
    /// First offset of the range.
    pub first: u64,
    /// First offset after the range.
    pub next: u64,
    /// Records in the file; fewer than the range holds where the log has gaps.
    pub records: u64,
    /// Records that the source's decoder refuses, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Greatest effective time among the records that the decoder accepts and that do not claim to
    /// lie in the future, in microseconds since the epoch.
    pub max_effective_us: Option<i64>,
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, lower-case hex.
    pub blake3: String,
}

pub(super) const VERSION: u32 = 1;
pub(super) const REMEDY: &str = "restore it from a copy, or remove it and run `twofold archive` while \
                                 the log still holds these offsets";

impl Summary {
    pub(super) fn path(parquet: &Path) -> PathBuf {
        parquet.with_extension("json")
    }

    /// Reads the summary of an archive file.
    ///
    /// # Errors
    /// When there is none, or it cannot be understood.
    pub fn read(parquet: &Path) -> Result<Self, Error> {
        let path = Self::path(parquet);
        let bytes = files::read(&path)?;
        let damaged = |what: String| Error::Damaged { path: path.clone(), what, remedy: REMEDY };
        let summary: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if summary.version != VERSION {
            return Err(damaged(format!(
                "version {}, this build reads {VERSION}",
                summary.version
            )));
        }
        Ok(summary)
    }
}
