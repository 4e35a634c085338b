//! The first version: a scan of every item lane.

use std::sync::Arc;

use definitions::Lane;
use event_log::EventLog;
use online_store::OnlineStore;
use record::EventTime;
use runtime::clock::Clock;
use tokio::sync::watch;

use super::items::LaneItems;
use super::refresher::{Refresher, all_partitions, whole_second};
use super::{Cells, Error, ItemTable, Settings, Version};
use crate::updater;

/// What a table works with.
#[derive(Clone)]
pub struct Parts {
    /// Says how many partitions there are.
    pub log: Arc<dyn EventLog>,
    /// Where the states are.
    pub store: Arc<dyn OnlineStore>,
    /// Lanes; those of another entity than the table's are left out.
    pub lanes: Vec<Arc<Lane>>,
    /// The updater of this process; without one the store's heads are polled.
    pub updater: Option<updater::Handle>,
    /// Says what `as_of` is.
    pub clock: Clock,
}

/// Scans the store and makes the first version.
///
/// # Errors
/// When log or store do not answer, a state is damaged, or there are too many items.
pub async fn open(settings: Settings, parts: Parts) -> Result<(ItemTable, Refresher), Error> {
    let as_of = whole_second(parts.clock.now());
    open_at(settings, parts, as_of).await
}

/// One version from a scan, with its values at exactly `as_of`; for [`ItemTable::pinned`].
///
/// # Errors
/// As [`open`].
pub async fn load(settings: Settings, parts: Parts, as_of: EventTime) -> Result<Version, Error> {
    let (table, _) = open_at(settings, parts, as_of).await?;
    Ok(table.current().as_ref().clone())
}

async fn open_at(
    settings: Settings,
    parts: Parts,
    as_of: EventTime,
) -> Result<(ItemTable, Refresher), Error> {
    let Parts { log, store, lanes, updater, clock } = parts;
    // Followed from before the scan, so that no commit falls between.
    let commits = updater.map(|updater| updater.subscribe());
    let mut of_items = Vec::new();
    for lane in lanes.into_iter().filter(|lane| lane.entity == settings.entity) {
        let partitions = log.topic(&lane.source.topic).await?.partitions;
        of_items.push(LaneItems::new(lane, partitions));
    }
    let empty = Version::from_rows(Vec::new(), [], Vec::new(), as_of);
    let (versions, receiver) = watch::channel(Arc::new(empty));
    let cells = Arc::<Cells>::default();
    let table = ItemTable { versions: receiver, cells: Arc::clone(&cells) };
    let mut refresher = Refresher {
        settings,
        store,
        clock,
        commits,
        broken: all_partitions(&of_items),
        lanes: of_items,
        items: Arc::default(),
        items_changed: true,
        values_changed: true,
        versions,
        cells,
    };
    refresher.mend().await?;
    refresher.publish(as_of).await?;
    Ok((table, refresher))
}
