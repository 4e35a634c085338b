//! The item table: features of every item, in process, immutable between versions.
//!
//! A response scores hundreds of items, so their features are not read from the store one by one.
//! Each [`Version`] holds the values of every item that the item lanes know, computed for one
//! `as_of` (a whole second) from one position per (lane, partition), and says both, so that a replay
//! can compute the very same values. [`Refresher::run`] follows what the updater commits and swaps
//! in a new version; who holds an older one keeps it for as long as it likes.
//!
//! **Freshness.** A version is made at each whole second, and [`Settings::refresh_ms`] after the last
//! one where a commit changed something. So a healthy table's `as_of` lies at most one second and the
//! time that it takes to compute a version behind the clock, and a commit shows after at most
//! `refresh_ms` and that time. Where versions can no longer be made (store or states fail, there are
//! too many items) the last one stays, and past [`Settings::stale_ms`] it is stale:
//! [`ItemTable::is_stale`].
//!
//! The anatomy: [`Settings`] → [`open`] → [`Refresher::run`] + a cheap-clone [`ItemTable`] + [`Error`].
//! Memory: the decoded partial states (as many per item as partitions saw it) and two versions of
//! values, for at most [`Settings::items_max`] items.

mod items;
mod open;
mod refresher;
mod version;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use documented::Documented;
use record::{EventTime, LaneId, Partition};
use runtime::settings::Invalid;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::open::{Parts, load, open};
pub use self::refresher::Refresher;
pub use self::version::{LaneRead, Row, Version};

/// The table's bounds and freshness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Documented)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a change waits at most for a version that shows it, in milliseconds.
    pub refresh_ms: u64,
    /// How old a version's `as_of` may be before the table counts as stale, in milliseconds.
    pub stale_ms: u64,
    /// Items at most; with more the table keeps its last version and says so.
    pub items_max: usize,
}

/// Why a version could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] event_log::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] online_store::Error),
    /// What the store holds is no state of this fold.
    #[error("lane {lane} partition {partition}: {source}")]
    State {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// What is wrong with the bytes.
        #[source]
        source: fold::Error,
    },
    /// More items than the settings allow.
    #[error("{items} items, the table takes {items_max}: raise `item_table.items_max`")]
    TooManyItems {
        /// What there is.
        items: usize,
        /// The limit.
        items_max: usize,
    },
    /// The computation of a version panicked: a mistake in the program.
    #[error("computing a version panicked: {0}")]
    Panicked(String),
}

/// What the table has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Versions swapped in.
    pub versions: u64,
    /// Commits followed.
    pub commits: u64,
    /// Scans of a (lane, partition), the first ones included.
    pub scans: u64,
    /// Times that the table had lagged so far behind the commits that it scanned again.
    pub lagged: u64,
    /// Versions that could not be made; the last good one stayed.
    pub failures: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Cells {
    versions: AtomicU64,
    commits: AtomicU64,
    scans: AtomicU64,
    lagged: AtomicU64,
    failures: AtomicU64,
}

/// The current version, for readers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ItemTable {
    versions: watch::Receiver<Arc<Version>>,
    cells: Arc<Cells>,
    /// Age past which a version is stale, in microseconds; `None`: the table stands on purpose.
    stale_after_us: Option<i64>,
}

/// The least that [`Settings::stale_ms`] may be: a healthy table's age, and as much again.
const STALE_MS_MIN: u64 = 2_000;

impl Default for Settings {
    fn default() -> Self {
        Self { refresh_ms: 500, stale_ms: 3_000, items_max: 2_000_000 }
    }
}

impl Settings {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The first setting that cannot be used, under its key in section `item_table`.
    pub fn check(&self) -> Result<(), Invalid> {
        if !(1..=1000).contains(&self.refresh_ms) {
            let remedy = "give 1 to 1000, so that items are never staler than promised";
            return Err(Invalid::new("item_table.refresh_ms", "is out of range", remedy));
        }
        if self.stale_ms < STALE_MS_MIN {
            let remedy = format!("give at least {STALE_MS_MIN}: a healthy table is a second old");
            return Err(Invalid::new("item_table.stale_ms", "is too short", remedy));
        }
        if self.items_max == 0 {
            return Err(Invalid::new("item_table.items_max", "is 0", "give at least 1"));
        }
        Ok(())
    }
}

impl ItemTable {
    /// A table that shows one version for ever (an evaluation's, pinned at its cut).
    #[must_use]
    pub fn pinned(version: Version) -> Self {
        let versions = watch::channel(Arc::new(version)).1;
        Self { versions, cells: Arc::default(), stale_after_us: None }
    }

    /// Whether one of the table's versions is older than it may be; a pinned one never is.
    #[must_use]
    pub fn is_stale(&self, version: &Version, now: EventTime) -> bool {
        self.stale_after_us
            .is_some_and(|after_us| now.0.saturating_sub(version.as_of().0) > after_us)
    }

    /// The current version; hold it for as long as one answer needs it.
    #[must_use]
    pub fn current(&self) -> Arc<Version> {
        Arc::clone(&self.versions.borrow())
    }

    /// Waits for a version that `wanted` accepts; `None`: the refresher is gone and there is none.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Version) -> bool) -> Option<Arc<Version>> {
        let mut versions = self.versions.clone();
        versions.wait_for(|version| wanted(version)).await.ok().map(|version| Arc::clone(&version))
    }

    /// What the table has done since it was opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let count = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counters {
            versions: count(&self.cells.versions),
            commits: count(&self.cells.commits),
            scans: count(&self.cells.scans),
            lagged: count(&self.cells.lagged),
            failures: count(&self.cells.failures),
        }
    }
}

impl Cells {
    fn add(cell: &AtomicU64) {
        cell.fetch_add(1, Ordering::Relaxed);
    }
}
