//! The states behind the table: partials by (lane, partition), merged per item.

use std::sync::Arc;

use definitions::{Lane, Operation, Window};
use fold::{EntityState, Head, Plan, StateKey, Value, read_time};
use hashbrown::{HashMap, HashSet};
use record::{EventTime, Offset, Partition};

use super::version::{Items, LaneRead};

/// One lane's items, from all of its partitions.
pub(super) struct LaneItems {
    pub(super) lane: Arc<Lane>,
    plan: Arc<Plan>,
    heads: Vec<Option<Head>>,
    items: HashMap<Arc<str>, Item>,
    /// Whether values change by time alone.
    moves: bool,
    dirty: HashSet<Arc<str>>,
    cached: Option<Cached>,
}

/// Values of an earlier version, to be used again where nothing moved.
struct Cached {
    items: Arc<Items>,
    values: Arc<Vec<Value>>,
    as_of: EventTime,
    watermark: EventTime,
    /// The first time after which a TTL changes a value.
    expires: EventTime,
}

struct Item {
    partials: Vec<(Partition, EntityState)>,
    merged: EntityState,
}

impl LaneItems {
    pub(super) fn new(lane: Arc<Lane>, partitions: u32) -> Self {
        let moves = lane.features.iter().any(|feature| moves(&feature.operation));
        Self {
            plan: Plan::new(&lane),
            lane,
            heads: vec![None; partitions as usize],
            items: HashMap::new(),
            moves,
            dirty: HashSet::new(),
            cached: None,
        }
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> + use<> {
        (0..self.heads.len() as u32).map(Partition)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.items.keys()
    }

    pub(super) fn next(&self, partition: Partition) -> Option<Offset> {
        self.heads[partition.0 as usize].as_ref().map(|head| head.next)
    }

    pub(super) fn reads(&self) -> impl Iterator<Item = LaneRead> {
        self.heads.iter().zip(0..).map(|(head, partition)| LaneRead {
            lane: self.lane.id,
            partition: Partition(partition),
            head: head.clone(),
        })
    }

    /// Puts a whole partition in the place of what was known of it; whether the set of items changed.
    pub(super) fn replace(
        &mut self,
        partition: Partition,
        head: Option<Head>,
        states: Vec<(StateKey, Vec<u8>)>,
    ) -> Result<bool, fold::Error> {
        let known: Vec<Arc<str>> = self.items.keys().cloned().collect();
        let mut changed = false;
        for item in known {
            changed |= self.set(&item, partition, None);
        }
        for (key, bytes) in states {
            changed |= self.change(partition, &key, Some(&bytes))?;
        }
        self.heads[partition.0 as usize] = head;
        Ok(changed)
    }

    /// Takes in a commit; whether the set of items changed.
    pub(super) fn commit(
        &mut self,
        partition: Partition,
        head: Head,
        states: &[(StateKey, Option<Vec<u8>>)],
    ) -> Result<bool, fold::Error> {
        let mut changed = false;
        for (key, bytes) in states {
            changed |= self.change(partition, key, bytes.as_deref())?;
        }
        self.heads[partition.0 as usize] = Some(head);
        Ok(changed)
    }

    fn change(
        &mut self,
        partition: Partition,
        key: &StateKey,
        bytes: Option<&[u8]>,
    ) -> Result<bool, fold::Error> {
        // Other keys hold the admission state of stream keys, which is no item's.
        let Some(item) = key.entity_key(&self.lane) else { return Ok(false) };
        let state = bytes.map(|bytes| self.plan.decode(bytes)).transpose()?;
        Ok(self.set(item, partition, state))
    }

    fn set(&mut self, id: &str, partition: Partition, state: Option<EntityState>) -> bool {
        let known = self.items.get_key_value(id).map(|(id, _)| Arc::clone(id));
        if known.is_none() && state.is_none() {
            return false;
        }
        let is_new = known.is_none();
        let id = known.unwrap_or_else(|| Arc::from(id));
        let item = self.items.entry(Arc::clone(&id)).or_insert_with(|| Item {
            partials: Vec::with_capacity(1),
            merged: EntityState::empty(&self.lane),
        });
        item.partials.retain(|(known, _)| *known != partition);
        item.partials.extend(state.map(|state| (partition, state)));
        let Some(((_, first), others)) = item.partials.split_first() else {
            self.items.remove(&id);
            return true;
        };
        item.merged = first.clone();
        others.iter().for_each(|(_, other)| item.merged.merge(other));
        self.dirty.insert(id);
        is_new
    }

    /// The values of `items` at `as_of`, item-major; an item that the lane never saw has the
    /// defaults. What neither an event nor time can have changed is taken from the last call.
    pub(super) fn values(&mut self, items: &Arc<Items>, as_of: EventTime) -> Arc<Vec<Value>> {
        let watermarks = self.heads.iter().flatten().map(|head| head.watermark);
        let watermark = watermarks.max().unwrap_or(EventTime::MIN);
        let reusable = self
            .cached
            .take()
            .filter(|cached| Arc::ptr_eq(&cached.items, items))
            .filter(|cached| cached.holds_at(as_of, watermark, self.moves));
        if let Some(cached) = reusable.as_ref().filter(|_| self.dirty.is_empty()) {
            let values = Arc::clone(&cached.values);
            self.cached = Some(Cached { as_of, watermark, ..reusable.expect("it was just there") });
            return values;
        }
        let width = self.lane.features.len();
        let (mut values, mut expires) = match &reusable {
            Some(cached) => (cached.values.as_ref().clone(), cached.expires),
            None => (vec![Value::Null; items.ids.len() * width], EventTime(i64::MAX)),
        };
        let empty = EntityState::empty(&self.lane);
        for (id, row) in items.ids.iter().zip(values.chunks_exact_mut(width)) {
            if reusable.is_some() && !self.dirty.contains(id) {
                continue;
            }
            let state = self.items.get(id).map_or(&empty, |item| &item.merged);
            let at = read_time(as_of, state, [watermark]);
            for (slot, value) in row.iter_mut().zip(state.values_at(at, None)) {
                *slot = value;
            }
            for group in &self.lane.groups {
                let end = state.greatest().plus(group.ttl_us);
                if end >= at {
                    expires = expires.min(end);
                }
            }
        }
        self.dirty.clear();
        let (items, values) = (Arc::clone(items), Arc::new(values));
        self.cached =
            Some(Cached { items, values: Arc::clone(&values), as_of, watermark, expires });
        values
    }
}

impl Cached {
    /// Whether the values of unchanged items are the same at another time.
    fn holds_at(&self, as_of: EventTime, watermark: EventTime, moves: bool) -> bool {
        if self.as_of == as_of && self.watermark == watermark {
            return true;
        }
        let forward = as_of >= self.as_of && watermark >= self.watermark;
        !moves && forward && as_of.max(watermark) <= self.expires
    }
}

/// Whether the operation's value changes as time goes by, with no event.
fn moves(operation: &Operation) -> bool {
    match operation {
        Operation::Count { window }
        | Operation::Sum { window, .. }
        | Operation::CountBy { window, .. } => *window != Window::Lifetime,
        Operation::DecayedSum { .. } => true,
        Operation::Last { .. } | Operation::Sequence { .. } | Operation::InterestVector { .. } => {
            false
        }
    }
}
