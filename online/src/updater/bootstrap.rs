//! A new lane's bootstrap beside lanes that go on: it replays the log in a task of its own, and
//! joins the others when it has caught up.
//!
//! Its states appear through ordinary commits; [`super::Handle::caught_up`] says when it may be read.

use record::Offset;
use runtime::shutdown::Shutdown;
use tokio::sync::mpsc;

use super::Error;
use super::source_partition::{SourcePartition, Until};
use super::watchdog::Pulse;

/// Runs a partition of a source; lanes far behind the others catch up first, without holding them.
pub(super) async fn run(
    mut all: SourcePartition,
    until: Until,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let gap = all.context.settings.bootstrap_gap_records;
    let ahead = all.lanes.iter().map(|lane| lane.head().next).max().unwrap_or(Offset(0));
    let is_behind = |next: Offset| next.0.saturating_add(gap) < ahead.0;
    let (behind, current): (Vec<_>, Vec<_>) =
        all.lanes.drain(..).partition(|lane| is_behind(lane.head().next));
    for lane in &behind {
        let lane = lane.lane();
        tracing::info!(lane = %lane.id, source = lane.source.name, entity = lane.entity,
            partition = %all.partition, end = %all.end, "bootstrapping a lane from the log");
    }
    let (join, joining) = mpsc::channel(1);
    let beside = SourcePartition {
        context: all.context.clone(),
        source: all.source.clone(),
        topic: all.topic,
        partition: all.partition,
        lanes: behind,
        end: all.end,
        pulse: Pulse::default(),
    };
    all.lanes = current;
    let catching_up = async {
        if beside.lanes.is_empty() {
            return Ok(());
        }
        let (_none, nobody) = mpsc::channel(1);
        let caught_up = beside.run(Until::End, nobody, shutdown.clone()).await?;
        if until == Until::Shutdown {
            // Refused only when the other task is gone, and then nothing is left to join.
            let _ = join.send(caught_up).await;
        }
        Ok(())
    };
    let following = async { all.run(until, joining, shutdown.clone()).await.map(drop) };
    tokio::try_join!(catching_up, following).map(drop)
}
