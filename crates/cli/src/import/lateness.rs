//! How many of the events to be appended will be late: by the same watermark that judges them later.

use std::sync::Arc;
use std::time::Duration;

use definitions::Source;
use definitions::decode::Decoder;
use event_log::EventLog;
use fold::Watermark;
use record::{AppendTime, EventTime, Offset, Partition, partition_for_key};

use super::Event;

/// Records read from the log at once, and how long they are waited for.
const BATCH: usize = 8192;
const WAIT: Duration = Duration::from_millis(100);

/// Counts the late ones, for events in the order in which they will be appended. `from` says, per
/// partition, where a lane stands (position and watermark); what the log holds beyond is read.
pub(crate) async fn count_late(
    log: &dyn EventLog,
    source: &Arc<Source>,
    from: &[(Offset, EventTime)],
    events: &[Event],
    now: AppendTime,
) -> anyhow::Result<u64> {
    let bounds = log.bounds(&source.topic).await?;
    let mut watermarks = Vec::with_capacity(from.len());
    for (partition, (next, at)) in (0..).zip(from) {
        let mut watermark = Watermark::new(source, *at);
        let partitions = from.len() as u32;
        let decoder = Decoder::new(Arc::clone(source), Partition(partition), partitions);
        let mut reader = log.reader(&source.topic, Partition(partition), *next).await?;
        let end = bounds.get(partition as usize).map_or(*next, |bounds| bounds.next);
        while reader.position() < end {
            let records = reader.next(BATCH, WAIT).await?;
            let batch = decoder.decode(&records);
            let rejected =
                |row: usize| batch.rejections.binary_search_by_key(&row, |r| r.row).is_ok();
            for row in (0..records.len()).filter(|row| !rejected(*row)) {
                // Only the watermark counts here, not the verdict.
                let _ = watermark.judge(batch.event_times[row], batch.append_times[row]);
            }
        }
        watermarks.push(watermark);
    }
    let mut late = 0;
    for event in events {
        let partition = partition_for_key(&event.key, watermarks.len() as u32);
        let verdict = watermarks[partition.0 as usize].judge(EventTime(event.at_us), now);
        late += u64::from(matches!(verdict, Err(fold::Verdict::Late)));
    }
    Ok(late)
}
