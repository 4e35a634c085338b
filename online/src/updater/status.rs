//! What a store says of its lanes, beside the log.

use std::sync::Arc;

use definitions::Lane;
use event_log::EventLog;
use fold::Ledger;
use online_store::OnlineStore;
use record::{EventTime, Partition};
use serde::Serialize;

use super::{Error, digest, lane_task};

/// One (lane, partition), as `twofold status --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// The lane's id.
    pub lane: String,
    /// Source.
    pub source: String,
    /// Entity.
    pub entity: String,
    /// Partition.
    pub partition: u32,
    /// Records read: the sum of the next four.
    pub read: u64,
    /// Records folded.
    pub applied: u64,
    /// Records seen before.
    pub duplicate: u64,
    /// Records that came too late.
    pub late: u64,
    /// Records refused.
    pub dead_lettered: u64,
    /// First offset that is not covered.
    pub position: u64,
    /// Offsets between `position` and the log's end.
    pub lag: u64,
    /// Greatest event time less the allowed lateness, in microseconds since the epoch; `None`:
    /// nothing was read yet.
    pub watermark_us: Option<i64>,
    /// See [`digest()`]; only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The status of every partition of `lanes`, in their order. A lane whose topic is not there has none.
///
/// # Errors
/// When log or store do not answer, or a head is damaged.
pub async fn status(
    log: &dyn EventLog,
    store: &dyn OnlineStore,
    lanes: &[Arc<Lane>],
    with_digest: bool,
) -> Result<Vec<LaneStatus>, Error> {
    let mut all = Vec::new();
    for lane in lanes {
        let bounds = match log.bounds(&lane.source.topic).await {
            Ok(bounds) => bounds,
            // A source that is new to the definitions: nothing was read of it, and nothing is there.
            Err(event_log::Error::NoTopic { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        for (partition, bounds) in bounds.iter().enumerate() {
            let partition = Partition(u32::try_from(partition).expect("partitions are 32-bit"));
            // A digest comes with its own head: another read could meet another commit's.
            let (head, digest) = match with_digest {
                true => {
                    let (head, digest) = digest::with_head(store, lane, partition).await?;
                    (head, Some(digest.to_string()))
                }
                false => {
                    let stored = store.read(lane.id, partition, &[]).await?.head;
                    (lane_task::decode(lane, partition, stored.as_ref())?, None)
                }
            };
            let ledger = head.as_ref().map_or_else(Ledger::default, |head| head.ledger);
            let position = head.as_ref().map_or(0, |head| head.next.0);
            all.push(LaneStatus {
                lane: lane.id.to_string(),
                source: lane.source.name.clone(),
                entity: lane.entity.clone(),
                partition: partition.0,
                read: ledger.read(),
                applied: ledger.applied,
                duplicate: ledger.duplicate,
                late: ledger.late,
                dead_lettered: ledger.dead_lettered,
                position,
                lag: bounds.next.0.saturating_sub(position),
                watermark_us: head
                    .map(|h| h.watermark)
                    .filter(|w| *w > EventTime::MIN)
                    .map(|w| w.0),
                digest,
            });
        }
    }
    Ok(all)
}
