use std::fmt;
use std::sync::Arc;

use definitions::Lane;
use fold::{Head, Value};
use hashbrown::HashMap;
use record::{EventTime, LaneId, Partition};

/// Every item's features, as one `as_of` and one position per (lane, partition) give them.
#[derive(Clone)]
pub struct Version {
    lanes: Vec<Arc<Lane>>,
    items: Arc<Items>,
    /// Per lane: item-major values, as many per item as the lane has features.
    values: Vec<Arc<Vec<Value>>>,
    reads: Vec<LaneRead>,
    as_of: EventTime,
    number: u64,
}

/// Items in the order of their ids, with their ordinals.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) ids: Vec<Arc<str>>,
    ordinals: HashMap<Arc<str>, u32>,
}

/// The head of a (lane, partition) that a version covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRead {
    /// Lane.
    pub lane: LaneId,
    /// Partition.
    pub partition: Partition,
    /// The head; `None`: nothing was committed yet.
    pub head: Option<Head>,
}

/// An item with its values: one row per lane, one value per feature.
pub type Row = (Arc<str>, Vec<Vec<Value>>);

impl Items {
    pub(super) fn new(mut ids: Vec<Arc<str>>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        let ordinals = ids.iter().zip(0..).map(|(id, n)| (Arc::clone(id), n)).collect();
        Self { ids, ordinals }
    }
}

impl Version {
    pub(super) fn new(
        lanes: Vec<Arc<Lane>>,
        items: Arc<Items>,
        values: Vec<Arc<Vec<Value>>>,
        reads: Vec<LaneRead>,
        as_of: EventTime,
        number: u64,
    ) -> Self {
        Self { lanes, items, values, reads, as_of, number }
    }

    /// A version of given rows, for tests and for tables that no store backs.
    ///
    /// # Panics
    /// When a row has not one value per feature of each lane.
    #[must_use]
    pub fn from_rows(
        lanes: Vec<Arc<Lane>>,
        rows: impl IntoIterator<Item = Row>,
        reads: Vec<LaneRead>,
        as_of: EventTime,
    ) -> Self {
        let mut rows: Vec<Row> = rows.into_iter().collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows.dedup_by(|a, b| a.0 == b.0);
        let items = Items::new(rows.iter().map(|(id, _)| Arc::clone(id)).collect());
        let mut values = vec![Vec::new(); lanes.len()];
        for (id, row) in rows {
            assert_eq!(row.len(), lanes.len(), "item {id} has one row per lane");
            for ((lane, row), column) in lanes.iter().zip(row).zip(&mut values) {
                assert_eq!(row.len(), lane.features.len(), "item {id} has one value per feature");
                column.extend(row);
            }
        }
        let values = values.into_iter().map(Arc::new).collect();
        Self::new(lanes, Arc::new(items), values, reads, as_of, 0)
    }

    /// The lanes, in the order of `values` and of each item's rows.
    #[must_use]
    pub fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }

    /// Items by ordinal: their ids, ascending.
    #[must_use]
    pub fn ids(&self) -> &[Arc<str>] {
        &self.items.ids
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.ids.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.ids.is_empty()
    }

    /// An item's ordinal in this version.
    #[must_use]
    pub fn ordinal(&self, item: &str) -> Option<u32> {
        self.items.ordinals.get(item).copied()
    }

    /// An item's values in a lane (an index into [`Version::lanes`]), one per feature.
    ///
    /// # Panics
    /// When there is no such lane or item.
    #[must_use]
    pub fn values(&self, lane: usize, ordinal: u32) -> &[Value] {
        let width = self.lanes[lane].features.len();
        &self.values[lane][ordinal as usize * width..][..width]
    }

    /// The heads that the values cover: for each lane, each partition.
    #[must_use]
    pub fn reads(&self) -> &[LaneRead] {
        &self.reads
    }

    /// The time that the values were computed for, a whole second. An item that saw an event later
    /// than that, or whose lane's watermark is later, was read at that later time.
    #[must_use]
    pub fn as_of(&self) -> EventTime {
        self.as_of
    }

    /// Number of the version, rising within one table; 0 where no refresher made it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Version")
            .field("number", &self.number)
            .field("items", &self.len())
            .field("as_of", &self.as_of)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}
