//! The first version: a scan of every item lane.

use std::sync::Arc;

use candidates::joined_row::ITEM_ENTITY;
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
    /// Lanes; those of other entities than items are left out.
    pub lanes: Vec<Arc<Lane>>,
    /// The updater of this process; without one the store's heads are polled.
    pub updater: Option<updater::Handle>,
    /// Says what `as_of` is.
    pub clock: Clock,
}

/// Scans the store and makes the first version. With an updater it is best opened before that runs: a
/// scan between fast commits fails. Where another process commits so fast, the first version lacks what
/// could not be scanned, and the refresher scans again.
///
/// # Errors
/// When log or store do not answer, a state is damaged, or there are too many items.
pub async fn open(settings: Settings, parts: Parts) -> Result<(ItemTable, Refresher), Error> {
    let as_of = whole_second(parts.clock.now());
    let (table, mut refresher) = empty(settings, parts, as_of).await?;
    match refresher.mend().await {
        Err(Error::Store(error @ online_store::Error::Moved { .. })) => {
            tracing::warn!(%error, "the item table starts without what is being written");
        }
        mended => mended?,
    }
    refresher.publish(as_of).await?;
    Ok((table, refresher))
}

/// One version from a scan, with its values at exactly `as_of`; for [`ItemTable::pinned`].
///
/// # Errors
/// As [`open`]; and when a partition changed during each of several scans.
pub async fn load(settings: Settings, parts: Parts, as_of: EventTime) -> Result<Version, Error> {
    let (table, mut refresher) = empty(settings, parts, as_of).await?;
    refresher.mend().await?;
    refresher.publish(as_of).await?;
    Ok(table.current().as_ref().clone())
}

/// A table that has scanned nothing yet.
async fn empty(
    settings: Settings,
    parts: Parts,
    as_of: EventTime,
) -> Result<(ItemTable, Refresher), Error> {
    let Parts { log, store, lanes, updater, clock } = parts;
    // Followed from before the scan, so that no commit falls between.
    let commits = updater.as_ref().map(updater::Handle::subscribe);
    let mut of_items = Vec::new();
    for lane in lanes.into_iter().filter(|lane| lane.entity == ITEM_ENTITY) {
        let partitions = log.topic(&lane.source.topic).await?.partitions;
        of_items.push(LaneItems::new(lane, partitions));
    }
    let empty = Version::from_rows(Vec::new(), [], Vec::new(), as_of);
    let (versions, receiver) = watch::channel(Arc::new(empty));
    let cells = Arc::<Cells>::default();
    let stale_after_us = i64::try_from(settings.stale_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    let table = ItemTable {
        versions: receiver,
        cells: Arc::clone(&cells),
        stale_after_us: Some(stale_after_us),
    };
    let refresher = Refresher {
        settings,
        store,
        clock,
        updater,
        commits,
        broken: all_partitions(&of_items),
        lanes: of_items,
        items: Arc::default(),
        items_changed: true,
        values_changed: true,
        versions,
        cells,
    };
    Ok((table, refresher))
}
