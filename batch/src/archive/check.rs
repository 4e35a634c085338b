//! Whether a log still is the one that was archived, and whole.

use event_log::EventLog;
use record::{LogId, Offset, Partition};

use super::{Archive, published};
use crate::Error;

impl Archive {
    /// Compares every archived topic with the log. What was archived was durable in the log, so a log
    /// that ends before, or is another one, has lost records: going on would make a smaller shop of it
    /// without a word.
    ///
    /// # Errors
    /// [`Error::Behind`] or [`Error::OtherLog`]; or when log or archive cannot be looked at.
    pub async fn check(&self, log: &dyn EventLog) -> Result<(), Error> {
        for topic in self.topics()? {
            self.check_topic(log, &topic).await?;
        }
        Ok(())
    }

    /// What [`Archive::check`] says of a log that is not there at all: anything archived is lost.
    ///
    /// # Errors
    /// [`Error::OtherLog`]; or when the archive cannot be looked at.
    pub fn check_without_log(&self) -> Result<(), Error> {
        for topic in self.topics()? {
            if let Some(archived) = self.logs(&topic)?.last() {
                return Err(self.other_log(&topic, *archived, "not there".to_owned()));
            }
        }
        Ok(())
    }

    fn other_log(&self, topic: &str, archived: LogId, found: String) -> Error {
        Error::OtherLog { topic: topic.to_owned(), path: self.root.join(topic), archived, found }
    }

    async fn check_topic(&self, log: &dyn EventLog, topic: &str) -> Result<(), Error> {
        let logs = self.logs(topic)?;
        let Some(archived) = logs.last().copied() else { return Ok(()) };
        let found = match log.topic(topic).await {
            Ok(found) => found,
            Err(event_log::Error::NoTopic { .. }) => {
                return Err(self.other_log(topic, archived, "not there".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        if !logs.contains(&found.log) {
            return Err(self.other_log(topic, archived, format!("log {}", found.log)));
        }
        // The archive first: what another process archives meanwhile was in the log before that.
        let partitions = (0..found.partitions).map(Partition);
        let ends = partitions.map(|partition| self.end(topic, found.log, partition));
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        let bounds = log.bounds(topic).await?;
        for ((bounds, partition), archived) in bounds.iter().zip((0..).map(Partition)).zip(ends) {
            self.is_not_ahead(topic, partition, archived, bounds.next)?;
        }
        Ok(())
    }

    /// Where a partition of the archive has once ended, whatever is left of it.
    pub(super) fn end(
        &self,
        topic: &str,
        log: LogId,
        partition: Partition,
    ) -> Result<Offset, Error> {
        let files = self.listing(topic, log, partition)?.end();
        // What log.json says; if it is damaged, the readers tell.
        let published = published::read(&self.log_dir(topic, log)).unwrap_or_default();
        Ok(published.get(partition.0 as usize).map_or(files, |end| files.max(*end)))
    }

    pub(super) fn is_not_ahead(
        &self,
        topic: &str,
        partition: Partition,
        archived: Offset,
        end: Offset,
    ) -> Result<(), Error> {
        if archived <= end {
            return Ok(());
        }
        let (topic, path) = (topic.to_owned(), self.root.join(topic));
        Err(Error::Behind { topic, partition, end, archived, path })
    }

    fn topics(&self) -> Result<Vec<String>, Error> {
        if !self.root.is_dir() {
            return Ok(Vec::new());
        }
        let mut topics = Vec::new();
        for entry in std::fs::read_dir(&self.root).map_err(Error::io(&self.root))? {
            let entry = entry.map_err(Error::io(&self.root))?;
            let is_dir = entry.file_type().map_err(Error::io(entry.path()))?.is_dir();
            topics.extend(entry.file_name().to_str().filter(|_| is_dir).map(str::to_owned));
        }
        topics.sort_unstable();
        Ok(topics)
    }
}
