//! What a key's state may grow to, from the real limits: a store takes values up to a size, and a commit
//! with a larger one would stop the updater for good.

use super::{Lane, LaneFeature, Operation, retention::EPOCHS_KEPT};
use crate::Window;
use crate::decode::KEY_BYTES_MAX;

/// The largest state that definitions may allow a key, in bytes; half of what a store takes.
pub const STATE_BYTES_MAX: u64 = 8 << 20;
/// The longest text that `last` keeps, in bytes: one per key.
pub const TEXT_BYTES_MAX: usize = 4096;
/// The longest `by` key and the longest tag, in bytes: a state holds them over and over.
pub const BY_BYTES_MAX: usize = 256;
/// The longest item of a sequence, in bytes: as long as an entity's key.
pub const ITEM_BYTES_MAX: usize = KEY_BYTES_MAX;
/// Buckets of a tile of `by` that saw more keys than its limit.
pub const BUCKETS: usize = 64;
/// Most identities that one stream key may have within the allowed lateness.
pub const IDENTITIES_MAX: usize = 4096;

/// Version byte and greatest time.
const HEADER_BYTES: u64 = 11;
/// A number of 64 bits at its longest.
const NUMBER_BYTES: u64 = 10;
/// A count; none exceeds 2^53.
const COUNT_BYTES: u64 = 8;
/// A fixed-point sum of 128 bits at its longest.
const SUM_BYTES: u64 = 19;
/// Time, partition, offset.
const PLACE_BYTES: u64 = 25;
/// Time as sent, and the hash of the id.
const IDENTITY_BYTES: u64 = NUMBER_BYTES + 8;

/// A text with its length.
const fn text(bytes_max: usize) -> u64 {
    bytes_max as u64 + 2
}

impl Operation {
    /// The text columns that it keeps, each with the longest text that it takes, in bytes.
    pub fn texts(&self) -> impl Iterator<Item = (usize, usize)> {
        let texts = match *self {
            Self::Last { value } => [Some((value, TEXT_BYTES_MAX)), None],
            Self::CountBy { by, .. } => [Some((by, BY_BYTES_MAX)), None],
            Self::Sequence { value, tag, .. } => {
                [Some((value, ITEM_BYTES_MAX)), tag.map(|tag| (tag, BY_BYTES_MAX))]
            }
            Self::Count { .. }
            | Self::Sum { .. }
            | Self::DecayedSum { .. }
            | Self::InterestVector { .. } => [None, None],
        };
        texts.into_iter().flatten()
    }

    /// Bytes that it adds to a key's state at most.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        let tiles = |window: Window, bytes_each: u64| {
            let tiles = match window {
                Window::Lifetime => 1,
                Window::Sliding { window_us, hop_us } => (window_us / hop_us.max(1)).unsigned_abs(),
            };
            NUMBER_BYTES.saturating_add(tiles.saturating_mul(NUMBER_BYTES + bytes_each))
        };
        match *self {
            Self::Count { window } => tiles(window, COUNT_BYTES),
            Self::Sum { window, .. } => tiles(window, SUM_BYTES),
            Self::Last { .. } => 1 + PLACE_BYTES + text(TEXT_BYTES_MAX),
            Self::CountBy { limit, window, .. } => {
                let exact = u64::from(limit) * (text(BY_BYTES_MAX) + COUNT_BYTES);
                tiles(window, NUMBER_BYTES + exact.max(BUCKETS as u64 * COUNT_BYTES))
            }
            Self::Sequence { tag, limit, .. } => {
                let tag_bytes = if tag.is_some() { text(BY_BYTES_MAX) } else { 1 };
                let each = PLACE_BYTES + text(ITEM_BYTES_MAX) + tag_bytes;
                NUMBER_BYTES + u64::from(limit) * each
            }
            Self::DecayedSum { .. } => {
                NUMBER_BYTES + EPOCHS_KEPT.unsigned_abs() * (NUMBER_BYTES + SUM_BYTES)
            }
            Self::InterestVector { .. } => 0,
        }
    }
}

impl Lane {
    /// Bytes of the largest value that a commit of this lane may hold under one key: every tile, map,
    /// sequence and text full, and the stream key's identities.
    #[must_use]
    pub fn state_bytes_max(&self) -> u64 {
        let identities = NUMBER_BYTES + IDENTITIES_MAX as u64 * IDENTITY_BYTES;
        let bytes = |feature: &LaneFeature| feature.operation.bytes_max();
        let features = self.features.iter().map(bytes).fold(0, u64::saturating_add);
        let state = match self.is_stream_keyed() {
            true => features.saturating_add(identities),
            false => features.max(identities),
        };
        state.saturating_add(HEADER_BYTES)
    }
}
