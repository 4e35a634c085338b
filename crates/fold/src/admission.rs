//! Admission: which records count. A pure function of the log, per partition, in offset order:
//!
//! 1. what could not be decoded, whose expressions failed or whose entity key is empty is a dead
//!    letter; it raises no watermark, for it has no time to trust;
//! 2. [`Watermark`]: *future*, effective time, *late*, then the watermark rises;
//! 3. [`Identities`], per stream key: *duplicate*, *key flood*, else applied.
//!
//! The first two depend on the partition's prefix only, the third on the key's records only, so batch
//! may scan once for the watermark and then sort by key. The first, and *future*, depend on the record
//! alone, so [`refusals`] tells them before there is a log position.

mod alone;
mod identities;
mod identity;
mod watermark;

pub use alone::{Refusal, refusals, why};
pub use identities::{IDENTITIES_MAX, Identities};
pub use identity::Identity;
pub use watermark::Watermark;

use definitions::Reason;
use serde::{Deserialize, Serialize};

/// What became of a record in one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Admitted (a record that every filter refuses counts as applied).
    Applied,
    /// Seen before under the same identity.
    Duplicate,
    /// Its effective time lies before the watermark.
    Late,
    /// Refused, with the reason.
    DeadLettered(Reason),
}

/// Records by verdict; `read() = applied + duplicate + late + dead_lettered`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Records folded.
    pub applied: u64,
    /// Records dropped as seen before.
    pub duplicate: u64,
    /// Records dropped as late.
    pub late: u64,
    /// Records refused.
    pub dead_lettered: u64,
}

impl Ledger {
    /// Records read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.applied + self.duplicate + self.late + self.dead_lettered
    }

    /// Counts one verdict.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Applied => self.applied += 1,
            Verdict::Duplicate => self.duplicate += 1,
            Verdict::Late => self.late += 1,
            Verdict::DeadLettered(_) => self.dead_lettered += 1,
        }
    }
}
