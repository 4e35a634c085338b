//! The digest of a (lane, partition), to compare two stores.

use std::fmt;

use definitions::Lane;
use fold::{EntityState, Head};
use online_store::OnlineStore;
use record::{EventTime, Partition};

use super::{Error, lane_task};

/// Scans that a moving head may spoil, each, before the digest gives up.
const SCANS_MAX: u32 = 20;

/// BLAKE3 over position, watermark, ledger and the sorted keys with their states' bytes. The log's
/// id, the owner, derived values and keys that a sweep may take ([`Lane::may_sweep`]) are not in it, so
/// that equal folds over equal logs are equal, swept or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key with the greatest time of its state and the digest of its bytes.
type Seen = (Vec<u8>, Result<EventTime, fold::Error>, [u8; 32]);

/// Digests one (lane, partition) as the store holds it. Memory: each key, and 64 bytes for its state.
///
/// # Errors
/// When the store does not answer, when the head keeps moving, or when head or states are damaged.
pub async fn digest(
    store: &dyn OnlineStore,
    lane: &Lane,
    partition: Partition,
) -> Result<Digest, Error> {
    Ok(with_head(store, lane, partition).await?.1)
}

/// The digest, and the head that it is of: also while commits move the head on.
pub(super) async fn with_head(
    store: &dyn OnlineStore,
    lane: &Lane,
    partition: Partition,
) -> Result<(Option<Head>, Digest), Error> {
    let mut scans = 1;
    let (head, mut states) = loop {
        let mut states: Vec<Seen> = Vec::new();
        let mut visit = |key: &[u8], state: &[u8]| {
            let greatest = EntityState::greatest_of(state);
            states.push((key.to_vec(), greatest, *blake3::hash(state).as_bytes()));
        };
        match store.scan(lane.id, partition, &mut visit).await {
            Ok(head) => break (head, states),
            Err(online_store::Error::Moved { .. }) if scans < SCANS_MAX => scans += 1,
            Err(online_store::Error::Moved { .. }) => {
                return Err(Error::Moving { lane: lane.id, partition, scans });
            }
            Err(error) => return Err(error.into()),
        }
    };
    states.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new();
    let head = lane_task::decode(lane, partition, head.as_ref())?;
    if let Some(head) = &head {
        let ledger = head.ledger;
        hasher.update(&head.next.0.to_le_bytes());
        hasher.update(&head.watermark.0.to_le_bytes());
        for count in [ledger.applied, ledger.duplicate, ledger.late, ledger.dead_lettered] {
            hasher.update(&count.to_le_bytes());
        }
    }
    let watermark = head.as_ref().map_or(EventTime::MIN, |head| head.watermark);
    for (key, greatest, state) in states {
        let damaged = |source| Error::State { lane: lane.id, partition, source };
        if lane.may_sweep(greatest.map_err(damaged)?, watermark) {
            continue;
        }
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(&key);
        hasher.update(&state);
    }
    Ok((head, Digest(*hasher.finalize().as_bytes())))
}
