//! Logs that are another log but for some calls.

use async_trait::async_trait;
use event_log::{
    Appended, Bounds, Error, EventLog, JournalId, Membership, NewRecord, Reader, Topic,
};
use record::{Offset, Partition};

/// What is done in place of a log's calls, or before them; the others are the inner log's.
#[async_trait]
pub(crate) trait Over: Send + Sync {
    fn inner(&self) -> &dyn EventLog;

    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        self.inner().topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        self.inner().create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.inner().append_before(topic, records, journal).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        self.inner().bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        self.inner().reader(topic, partition, from).await
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        self.inner().join(topics).await
    }
}

/// The log that comes of it.
pub(crate) struct Log<T>(pub(crate) T);

#[async_trait]
impl<T: Over> EventLog for Log<T> {
    async fn topic(&self, topic: &str) -> Result<Topic, Error> {
        self.0.topic(topic).await
    }

    async fn create(&self, topic: &str, partitions: u32) -> Result<Topic, Error> {
        self.0.create(topic, partitions).await
    }

    async fn append_before(
        &self,
        topic: &str,
        records: Vec<NewRecord>,
        journal: Option<JournalId>,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.0.append_before(topic, records, journal).await
    }

    async fn bounds(&self, topic: &str) -> Result<Vec<Bounds>, Error> {
        self.0.bounds(topic).await
    }

    async fn reader(
        &self,
        topic: &str,
        partition: Partition,
        from: Offset,
    ) -> Result<Box<dyn Reader>, Error> {
        self.0.reader(topic, partition, from).await
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        self.0.join(topics).await
    }
}
