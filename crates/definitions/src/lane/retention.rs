//! How far back a key's state reaches, and when a key may be forgotten.
//!
//! A sweep must not be seen: a key that comes back after one has the state and the values that it would
//! have had without. That holds where all that a feature keeps is older than its reach by then.

use record::EventTime;

use super::{Lane, LaneFeature, Operation};
use crate::Window;

/// Half-lives in an epoch of a decayed sum.
pub const EPOCH_HALF_LIVES: i64 = 8;
/// Epochs that a decayed sum keeps, its newest included: what is older weighs less than 2^−32.
pub const EPOCHS_KEPT: i64 = 5;

impl Lane {
    /// How far back a feature reaches, in microseconds: past it no event is seen any more. `None`: it
    /// counts everything there ever was.
    #[must_use]
    pub fn reach_us(&self, feature: &LaneFeature) -> Option<i64> {
        match feature.operation {
            Operation::Count { window }
            | Operation::Sum { window, .. }
            | Operation::CountBy { window, .. } => match window {
                Window::Lifetime => None,
                Window::Sliding { window_us, .. } => Some(window_us),
            },
            Operation::DecayedSum { half_life_us, .. } => {
                Some(half_life_us.saturating_mul(EPOCHS_KEPT * EPOCH_HALF_LIVES))
            }
            Operation::Last { .. }
            | Operation::Sequence { .. }
            | Operation::InterestVector { .. } => Some(self.groups[feature.group].ttl_us),
        }
    }

    /// The first feature that keeps every key for ever: it reaches past the lane's greatest TTL, so a
    /// key that came back after a sweep would have lost events that count.
    #[must_use]
    pub fn kept_by(&self) -> Option<&LaneFeature> {
        let ttl_us = self.ttl_us();
        self.features.iter().find(|feature| self.reach_us(feature).is_none_or(|us| us > ttl_us))
    }

    /// How far the watermark must lie past a key's greatest effective time for a sweep to take the key,
    /// in microseconds; `None`: this lane's keys are never swept (see [`Lane::kept_by`]).
    ///
    /// It is the lane's greatest TTL and the allowed lateness, and more in two cases. Identities carry
    /// times as sent, which lie up to `max_future` after the effective ones. And where several
    /// partitions' partials are merged at the read, `last`, sequences and decayed sums reach back from
    /// the greatest time of them all, so another partial may show what lies that much deeper.
    #[must_use]
    pub fn sweep_after_us(&self) -> Option<i64> {
        if self.kept_by().is_some() {
            return None;
        }
        let merged_us = if self.is_stream_keyed() { 0 } else { self.reach_from_greatest_us() };
        let after = self.ttl_us().saturating_add(merged_us).max(self.source.max_future_us);
        Some(after.saturating_add(self.source.allowed_lateness_us))
    }

    /// Whether a sweep at `watermark` may take a key whose greatest effective time is `greatest`.
    #[must_use]
    pub fn may_sweep(&self, greatest: EventTime, watermark: EventTime) -> bool {
        self.sweep_after_us().is_some_and(|after_us| watermark > greatest.plus(after_us))
    }

    fn ttl_us(&self) -> i64 {
        self.groups.iter().map(|group| group.ttl_us).max().unwrap_or(0)
    }

    /// Greatest reach among the features that look back from a key's greatest time; a window looks back
    /// from the time of the read.
    fn reach_from_greatest_us(&self) -> i64 {
        let from_greatest = |feature: &&LaneFeature| {
            !matches!(
                feature.operation,
                Operation::Count { .. } | Operation::Sum { .. } | Operation::CountBy { .. }
            )
        };
        let reach = self.features.iter().filter(from_greatest);
        reach.filter_map(|feature| self.reach_us(feature)).max().unwrap_or(0)
    }
}
