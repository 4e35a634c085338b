//! How far a (lane, partition) has to come, whoever sees to it: the store's head says how far it is.

use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use event_log::EventLog;
use fold::Head;
use online_store::OnlineStore;
use record::{LogId, Offset, Partition};
use tokio::time::timeout;

/// How long the store may take to say where one (lane, partition) is.
const READ_MAX: Duration = Duration::from_secs(2);
/// How long the log may take to say whether it goes on after a head.
const LOOK_AHEAD: Duration = Duration::from_millis(200);

/// A (lane, partition), and what it has to cover.
pub(crate) struct Goal {
    pub(crate) lane: Arc<Lane>,
    pub(crate) partition: Partition,
    log: LogId,
    /// The log's end at the start.
    pub(crate) next: Offset,
    /// Where the head was when it was last looked at.
    pub(crate) head: Option<Offset>,
    /// A record before the end that the head did not cover when it was looked for.
    record: Option<Offset>,
    /// What was last said of a head that cannot be read.
    told: Option<String>,
}

impl Goal {
    pub(crate) fn new(lane: Arc<Lane>, partition: Partition, log: LogId, next: Offset) -> Self {
        Self { lane, partition, log, next, head: None, record: None, told: None }
    }

    /// Where the head is, up to the end, if it has caught up.
    pub(crate) async fn look(
        &mut self,
        log: &dyn EventLog,
        store: &dyn OnlineStore,
    ) -> Option<Offset> {
        let head = if self.next == Offset(0) { Offset(0) } else { self.stored(store).await? };
        if head >= self.next {
            return Some(self.next);
        }
        if self.record.is_some_and(|record| record >= head) || self.head.replace(head) != Some(head)
        {
            return None;
        }
        // It stands still: a log may end in gaps, which no record covers, and so no head.
        match self.next_record(log, head).await? {
            record if record < self.next => {
                self.record = Some(record);
                None
            }
            _ => Some(head),
        }
    }

    /// The stored head's position; 0 where there is none. `None`: it cannot be said, or belongs to
    /// another log.
    async fn stored(&mut self, store: &dyn OnlineStore) -> Option<Offset> {
        let read = store.read(self.lane.id, self.partition, &[]);
        let failure = match timeout(READ_MAX, read).await {
            Ok(Ok(snapshot)) => match snapshot.head.map(|head| Head::decode(&head.bytes)) {
                None => return Some(Offset(0)),
                Some(Ok(head)) if head.log == self.log => return Some(head.next),
                Some(Ok(_)) => "it was built from another log".to_owned(),
                Some(Err(error)) => error.to_string(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store does not answer".to_owned(),
        };
        if self.told.as_ref() != Some(&failure) {
            let (lane, partition) = (self.lane.id, self.partition);
            tracing::warn!(%lane, %partition, failure, "whether a lane has caught up cannot be said");
            self.told = Some(failure);
        }
        None
    }

    /// The first record from `from` on, or where the log ends instead. `None`: it cannot be said, as
    /// where the log has dropped what is there.
    async fn next_record(&self, log: &dyn EventLog, from: Offset) -> Option<Offset> {
        let topic = &self.lane.source.topic;
        let mut reader = log.reader(topic, self.partition, from).await.ok()?;
        let records = reader.next(1, LOOK_AHEAD).await.ok()?;
        match records.first() {
            Some(record) => Some(record.offset),
            None => (reader.position() >= self.next).then(|| reader.position()),
        }
    }
}
