//! Reading entities' states from the online store, with the heads that they belong to.

use std::sync::Arc;

use candidate_pipeline::Cause;
use definitions::Lane;
use event_log::{EventLog, Topic};
use fold::{Embedding, EntityState, Head, StateKey, Value, read_time};
use online_store::OnlineStore;
use record::{EventTime, Partition, partition_for_key};
use wire::v1;
use wire::v1::lane_read::Outcome;

/// Reads lanes; made once.
#[derive(Clone)]
pub(super) struct LaneReader {
    store: Arc<dyn OnlineStore>,
    lanes: Vec<(Arc<Lane>, Topic)>,
}

/// An entity's state in one lane, merged from the partitions that hold it.
pub(super) struct Read {
    /// One per partition.
    pub(super) heads: Vec<v1::LaneRead>,
    state: EntityState,
    watermarks: Vec<EventTime>,
}

impl LaneReader {
    /// Asks the log once how many partitions each lane's topic has.
    pub(super) async fn new(
        log: &dyn EventLog,
        store: Arc<dyn OnlineStore>,
        lanes: &[Arc<Lane>],
    ) -> Result<Self, event_log::Error> {
        let mut with_topics = Vec::with_capacity(lanes.len());
        for lane in lanes {
            with_topics.push((Arc::clone(lane), log.topic(&lane.source.topic).await?));
        }
        Ok(Self { store, lanes: with_topics })
    }

    /// The lanes, in the order they were given.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().map(|(lane, _)| lane)
    }

    /// A lane and its topic.
    pub(super) fn lane(&self, at: usize) -> &(Arc<Lane>, Topic) {
        &self.lanes[at]
    }

    /// Reads one entity in lane `at`: one call where the entity is the stream key, else one per
    /// partition, together.
    pub(super) async fn read(&self, at: usize, key: &str) -> Result<Read, Cause> {
        let (lane, topic) = &self.lanes[at];
        let partitions = if lane.is_stream_keyed() {
            let partition = partition_for_key(key.as_bytes(), topic.partitions);
            partition.0..partition.0 + 1
        } else {
            0..topic.partitions
        };
        let stored = [StateKey::entity(lane, key).as_bytes().to_vec()];
        let reads = partitions.map(|partition| {
            let partition = Partition(partition);
            let stored = &stored;
            async move { (partition, self.store.read(lane.id, partition, stored).await) }
        });
        let mut read =
            Read { heads: Vec::new(), state: EntityState::empty(lane), watermarks: Vec::new() };
        for (partition, snapshot) in futures::future::join_all(reads).await {
            let snapshot = snapshot.map_err(|error| Cause(error.to_string()))?;
            let bytes = snapshot.values.into_iter().next().flatten();
            let head = snapshot.head.map(|head| Head::decode(&head.bytes)).transpose();
            let head = head.map_err(|error| Cause(error.to_string()))?;
            if let Some(bytes) = &bytes {
                let partial = EntityState::decode(lane, bytes);
                read.state.merge(&partial.map_err(|error| Cause(error.to_string()))?);
            }
            let outcome = if bytes.is_some() { Outcome::Read } else { Outcome::Absent };
            read.watermarks.extend(head.as_ref().map(|head| head.watermark));
            read.heads.push(lane_read(lane, topic, partition, head.as_ref(), outcome));
        }
        Ok(read)
    }

    /// What is recorded of a lane that could not be read in time.
    pub(super) fn unread(&self, at: usize, key: &str) -> v1::LaneRead {
        let (lane, topic) = &self.lanes[at];
        let partition = partition_for_key(key.as_bytes(), topic.partitions);
        lane_read(lane, topic, partition, None, Outcome::Timeout)
    }
}

impl Read {
    /// Values at `t* = max(as_of, greatest event time, watermarks)`.
    pub(super) fn values(
        &self,
        lane: &Lane,
        as_of: EventTime,
        embedding: Option<&dyn Embedding>,
    ) -> Vec<Value> {
        let at = read_time(as_of, &self.state, self.watermarks.iter().copied());
        self.state.values(lane, at, embedding)
    }
}

/// What is recorded of a read: the lane's head, or that there is none yet.
pub(super) fn lane_read(
    lane: &Lane,
    topic: &Topic,
    partition: Partition,
    head: Option<&Head>,
    outcome: Outcome,
) -> v1::LaneRead {
    v1::LaneRead {
        lane: lane.id.0.to_vec(),
        position: Some(v1::Position {
            topic: lane.source.topic.clone(),
            log_id: head.map_or(topic.log, |head| head.log).0.to_vec(),
            partition: partition.0,
            next: head.map_or(0, |head| head.next.0),
        }),
        outcome: outcome.into(),
        watermark_us: head.map_or(EventTime::MIN, |head| head.watermark).0,
    }
}
