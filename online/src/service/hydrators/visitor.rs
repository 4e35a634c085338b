use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use candidate_pipeline::{Cause, Hydrator, Patch};
use candidates::source;
use fold::Value;
use record::{LaneId, Offset, Partition, partition_for_key};
use wire::v1;
use wire::v1::lane_read::Outcome;

use crate::service::lanes::{LaneReader, Read};
use crate::service::query::Query;
use crate::updater;

/// How often the store is asked again where no updater in this process can say when to.
const POLL: Duration = Duration::from_millis(2);

/// Reads one lane of the visitor, once the positions that the caller wants are covered.
pub(in crate::service) struct VisitorLane {
    pub(in crate::service) name: String,
    /// Place among the visitor's lanes.
    pub(in crate::service) at: usize,
    pub(in crate::service) lanes: Arc<LaneReader>,
    pub(in crate::service) updater: Option<updater::Handle>,
    pub(in crate::service) wait_max: Duration,
}

#[async_trait]
impl Hydrator<Query> for VisitorLane {
    fn name(&self) -> &str {
        &self.name
    }

    async fn hydrate(&self, query: &Query) -> Result<Patch<Query>, Cause> {
        let visitor = &query.request.visitor_id;
        let wanted = self.wanted(&query.request);
        let mut read = self.read_covering(visitor, wanted).await?;
        let stale = wanted.is_some_and(|(_, _, next)| !covers(&read, next));
        if stale {
            read.heads.iter_mut().for_each(|head| head.set_outcome(Outcome::Stale));
        }
        let bundle = query.snapshot.bundle.as_ref();
        let embedding = bundle.and_then(|bundle| bundle.embedding());
        let (lane, _) = self.lanes.lane(self.at);
        let values = read.values(lane, query.as_of, embedding);
        let at = self.at;
        Ok(Box::new(move |query| apply(query, at, read.heads, values, stale)))
    }
}

fn apply(query: &mut Query, at: usize, heads: Vec<v1::LaneRead>, values: Vec<Value>, stale: bool) {
    if let Some(head) = heads.into_iter().next() {
        query.visitor.reads[at] = head;
    }
    query.visitor.stale |= stale;
    Arc::make_mut(&mut query.visitor.values)[at] = values;
    let towers = query.snapshot.bundle.as_ref().and_then(|bundle| bundle.towers.clone());
    let rows: Vec<&[Value]> = query.visitor.values.iter().map(Vec::as_slice).collect();
    let context = std::mem::take(&mut query.asked.context_items);
    query.asked = source::Query::of_visitor(&rows, context, query.as_of.0, |interest| {
        towers.map_or_else(Vec::new, |towers| towers.query(interest))
    });
}

fn covers(read: &Read, next: Offset) -> bool {
    read.heads.iter().all(|head| head.position.as_ref().is_some_and(|p| p.next >= next.0))
}

impl VisitorLane {
    /// The position in this lane's partition of the visitor that the caller wants covered.
    fn wanted(&self, request: &v1::RecommendRequest) -> Option<(LaneId, Partition, Offset)> {
        let (lane, topic) = self.lanes.lane(self.at);
        let partition = partition_for_key(request.visitor_id.as_bytes(), topic.partitions);
        let here = request.min_positions.iter().filter(|position| {
            position.topic == lane.source.topic && position.partition == partition.0
        });
        here.map(|position| position.next).max().map(|next| (lane.id, partition, Offset(next)))
    }

    async fn read_covering(
        &self,
        visitor: &str,
        wanted: Option<(LaneId, Partition, Offset)>,
    ) -> Result<Read, Cause> {
        let Some(wanted) = wanted else { return self.lanes.read(self.at, visitor).await };
        let end = tokio::time::Instant::now() + self.wait_max;
        if let Some(updater) = &self.updater {
            // No longer than it works on the partition: then only the store can say.
            updater.wait_for(&[wanted], self.wait_max).await;
        }
        loop {
            let read = self.lanes.read(self.at, visitor).await?;
            if covers(&read, wanted.2) || tokio::time::Instant::now() >= end {
                return Ok(read);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
