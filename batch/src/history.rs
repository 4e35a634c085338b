//! What visitors did, in order: read once from the log, used for sequences, sessions and spines.
//!
//! Holds about 40 bytes an admitted event, 24 more where it followed from an answer, and each id once.

mod sequences;
mod sessions;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, UInt32Type, UInt64Type};
use candidates::joined_row::ITEM_ENTITY;
use definitions::{ColumnType, Definitions, Lane, Operation};
use fold::Ledger;
use hashbrown::HashMap;
use record::{EventTime, Offset, Partition};

use crate::plan::{Engine, Order, Scan};
use crate::{Error, Extent, Records, Watch};

pub use sequences::verify_sequences;
pub use sessions::{IDLE_US, Sessions};

/// A day, in microseconds.
pub const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// Every admitted event of the source that visitors' sequences are made of.
#[derive(Debug, Clone)]
pub struct History {
    /// The visitors' lane.
    pub lane: Arc<Lane>,
    /// What was read.
    pub extent: Extent,
    /// The lane's ledger over it.
    pub ledger: Ledger,
    /// Applied events that name no item, which are not among [`History::events`].
    pub without_item: u64,
    /// Ids that events point to.
    pub visitors: Vec<Arc<str>>,
    /// Ids that events point to.
    pub items: Vec<Arc<str>>,
    /// Names that events point to.
    pub kinds: Vec<Arc<str>>,
    /// Visitor by visitor, each in the total order.
    pub events: Vec<Event>,
    /// Events that followed from an answer, by token, then in the total order; none where the source
    /// has no column [`TRACKING_TOKEN`].
    tracked: Vec<Tracked>,
}

/// An event that said which answer it followed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tracked {
    /// 16 bytes of BLAKE3 of the token, so that memory does not depend on what was sent.
    token: [u8; 16],
    /// Into [`History::events`].
    event: usize,
}

/// The column of a source that says which answer an event followed from.
pub const TRACKING_TOKEN: &str = "tracking_token";

/// An admitted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Effective time.
    pub at: EventTime,
    /// Where the record is.
    pub offset: Offset,
    /// Where the record is.
    pub partition: Partition,
    /// Into [`History::visitors`].
    pub visitor: u32,
    /// Into [`History::items`].
    pub item: u32,
    /// Number of the session, equal for equal session ids of one visitor; `None` where none was sent.
    pub session: Option<std::num::NonZeroU32>,
    /// Into [`History::kinds`].
    pub kind: u16,
}

/// Ids in the order that they were met.
#[derive(Default)]
struct Ids {
    ids: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
}

impl Ids {
    fn place(&mut self, id: &str) -> u32 {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let (id, place) = (Arc::<str>::from(id), self.ids.len() as u32);
        self.ids.push(Arc::clone(&id));
        self.places.insert(id, place);
        place
    }
}

/// The lane of visitors that has a sequence, and the column of its source that holds the item.
fn visitors(definitions: &Definitions) -> Result<(Arc<Lane>, usize), Error> {
    let lanes = definitions.lanes();
    let has_sequence = |lane: &&Arc<Lane>| {
        lane.entity != ITEM_ENTITY
            && lane.is_stream_keyed()
            && lane.features.iter().any(|f| matches!(f.operation, Operation::Sequence { .. }))
    };
    let lane = lanes.iter().find(has_sequence).ok_or_else(|| Error::Missing {
        what: "no group of visitors has a sequence".to_owned(),
        remedy: "define a feature with `aggregate = \"sequence\"` on the visitor's entity",
    })?;
    let by_item = lanes
        .iter()
        .find(|other| other.entity == ITEM_ENTITY && other.source.name == lane.source.name);
    let column = by_item.map(|other| other.entity_column);
    let column =
        column.or_else(|| lane.source.column("item_id")).ok_or_else(|| Error::Missing {
            what: format!("source {} has no column that holds the item", lane.source.name),
            remedy: "define a group of entity `item` over it, or name the column `item_id`",
        })?;
    Ok((Arc::clone(lane), column))
}

impl History {
    /// Reads it.
    ///
    /// # Errors
    /// When the definitions have no visitors' sequence, or records cannot be read.
    pub async fn read(
        engine: &Engine,
        records: &Records,
        definitions: &Definitions,
        watch: Arc<Watch>,
    ) -> Result<Self, Error> {
        let (lane, item) = visitors(definitions)?;
        let extent = records.extent(&lane.source.topic).await?;
        let mut extra = vec![item];
        let mut text_of = |name| text_column(&lane, name).map(|column| extra.push_at(column));
        let (kind, session) = (text_of("kind"), text_of("session_id"));
        let token = text_of(TRACKING_TOKEN);
        let scan = Scan {
            records: records.clone(),
            extent: extent.clone(),
            order: Order::EventTime,
            keys: None,
            watermarks_at: Arc::default(),
            watch,
        };
        let (mut visitors, mut items, mut kinds) = (Ids::default(), Ids::default(), Ids::default());
        let mut sessions = (u32::MAX, Ids::default());
        let (mut events, mut tracked) = (Vec::new(), Vec::new());
        let mut without_item = 0;
        let each = |batch: &arrow::array::RecordBatch, first: usize| {
            let text = |n: usize| batch.column(first + n).as_string::<i32>();
            let keys = batch.column(0).as_string::<i32>();
            let times = batch.column(6).as_primitive::<Int64Type>();
            let partitions = batch.column(7).as_primitive::<UInt32Type>();
            let offsets = batch.column(8).as_primitive::<UInt64Type>();
            for row in 0..batch.num_rows() {
                if text(0).is_null(row) {
                    without_item += 1;
                    continue;
                }
                let visitor = visitors.place(keys.value(row));
                if sessions.0 != visitor {
                    sessions = (visitor, Ids::default());
                }
                let session = session.map(text).filter(|ids| ids.is_valid(row));
                let session = session.map(|ids| sessions.1.place(ids.value(row)) + 1);
                let token = token.map(text).filter(|tokens| tokens.is_valid(row));
                if let Some(token) = token.map(|tokens| tokens.value(row)).filter(|t| !t.is_empty())
                {
                    tracked.push(Tracked { token: digest(token), event: events.len() });
                }
                let kind = kind
                    .map_or("", |n| if text(n).is_valid(row) { text(n).value(row) } else { "" });
                events.push(Event {
                    at: EventTime(times.value(row)),
                    offset: Offset(offsets.value(row)),
                    partition: Partition(partitions.value(row)),
                    visitor,
                    item: items.place(text(0).value(row)),
                    session: session.and_then(std::num::NonZeroU32::new),
                    kind: kinds.place(kind) as u16,
                });
            }
            Ok(())
        };
        let report = engine.events(&lane, scan, &extra, each).await?;
        let mut ledger = Ledger::default();
        for part in report.ledgers.values() {
            ledger.applied += part.applied;
            ledger.duplicate += part.duplicate;
            ledger.late += part.late;
            ledger.dead_lettered += part.dead_lettered;
        }
        let (visitors, items, kinds) = (visitors.ids, items.ids, kinds.ids);
        tracked.sort_unstable_by_key(|of: &Tracked| {
            let event: &Event = &events[of.event];
            (of.token, event.at, event.partition, event.offset)
        });
        Ok(Self { lane, extent, ledger, without_item, visitors, items, kinds, events, tracked })
    }

    /// The events that followed from the answer with this token, in the total order.
    pub fn tracked(&self, token: &str) -> impl Iterator<Item = &Event> {
        let token = digest(token);
        let first = self.tracked.partition_point(|of| of.token < token);
        let of_token = self.tracked[first..].iter().take_while(move |of| of.token == token);
        of_token.map(|of| &self.events[of.event])
    }

    /// Times of the first and the last event, if there are any.
    #[must_use]
    pub fn span(&self) -> Option<(EventTime, EventTime)> {
        let times = || self.events.iter().map(|event| event.at);
        Some((times().min()?, times().max()?))
    }

    /// Days (their first microsecond) that have events, with the number of events, ascending.
    #[must_use]
    pub fn days(&self) -> BTreeMap<i64, u64> {
        let mut days = BTreeMap::new();
        for event in &self.events {
            *days.entry(day_of(event.at)).or_insert(0) += 1;
        }
        days
    }

    /// Where the ranker's spine may begin so that about `share` of the events lie in it or after: the
    /// first microsecond of a day, but never of the first. The retriever is fitted on what lies before.
    /// `None` where there are fewer than two days.
    #[must_use]
    pub fn split(&self, share: f64) -> Option<EventTime> {
        let days = self.days();
        let wanted = (self.events.len() as f64 * share) as u64;
        let mut after = 0;
        let mut chosen = None;
        for (day, count) in days.iter().skip(1).rev() {
            chosen = Some(EventTime(*day));
            after += count;
            if after >= wanted {
                break;
            }
        }
        chosen
    }

    /// Per partition: the first offset that no event up to `to` (exclusive) reaches.
    #[must_use]
    pub fn positions(&self, to: EventTime) -> BTreeMap<Partition, u64> {
        let all = (0..self.extent.ends.len() as u32).map(|partition| (Partition(partition), 0));
        let mut positions: BTreeMap<_, _> = all.collect();
        for event in self.events.iter().filter(|event| event.at < to) {
            let next = positions.entry(event.partition).or_insert(0);
            *next = (*next).max(event.offset.0 + 1);
        }
        positions
    }
}

/// A column of text, if the lane's source has one of that name.
pub(crate) fn text_column(lane: &Lane, name: &str) -> Option<usize> {
    let column = lane.source.column(name)?;
    (lane.source.columns[column].column_type == ColumnType::String).then_some(column)
}

fn digest(token: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(token.as_bytes()).as_bytes()[..16]);
    digest
}

/// The first microsecond of a time's day, UTC.
#[must_use]
pub fn day_of(at: EventTime) -> i64 {
    at.0.div_euclid(DAY_US) * DAY_US
}

trait PushAt {
    fn push_at(&mut self, column: usize) -> usize;
}

impl PushAt for Vec<usize> {
    fn push_at(&mut self, column: usize) -> usize {
        self.push(column);
        self.len() - 1
    }
}
