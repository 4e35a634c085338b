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
}
