//! The topics as this process knows them: what is stored of them, and how far readers may read.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use ::embedded::Database;
use fjall::Keyspace;
use record::{AppendTime, Offset, Partition};
use tokio::sync::watch;

use super::layout;
use crate::{Bounds, Error, Topic};

/// All topics, and the keyspaces that hold them.
pub(super) struct Topics {
    pub(super) database: Database,
    /// Name → topic.
    pub(super) stored: Keyspace,
    pub(super) records: Keyspace,
    known: RwLock<HashMap<String, Arc<TopicState>>>,
}

/// One topic.
pub(super) struct TopicState {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) topic: Topic,
    /// By partition.
    pub(super) tails: Vec<watch::Sender<Tail>>,
}

/// The end of a partition that readers may read up to: everything before it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) next: Offset,
    pub(super) append_time: AppendTime,
    pub(super) deleted: bool,
}

impl Topics {
    pub(super) fn open(database: &Database) -> Result<Self, Error> {
        let topics = Self {
            database: database.clone(),
            stored: database.keyspace("log-topics")?,
            records: database.keyspace("log-records")?,
            known: RwLock::default(),
        };
        for entry in topics.stored.iter() {
            let (name, value) = entry.into_inner().map_err(|error| topics.failed(error))?;
            if &*name == layout::NEXT_NUMBER {
                continue;
            }
            let name = String::from_utf8_lossy(&name).into_owned();
            let (number, topic) = layout::topic_from_value(&name, &value)?;
            topics.add(topics.state(name, number, topic)?);
        }
        Ok(topics)
    }

    /// A topic as it is stored.
    pub(super) fn state(
        &self,
        name: String,
        number: u32,
        topic: Topic,
    ) -> Result<Arc<TopicState>, Error> {
        let tails = (0..topic.partitions)
            .map(|partition| Ok(watch::Sender::new(self.tail(number, Partition(partition))?)))
            .collect::<Result<_, Error>>()?;
        Ok(Arc::new(TopicState { name, number, topic, tails }))
    }

    fn tail(&self, number: u32, partition: Partition) -> Result<Tail, Error> {
        let prefix = layout::partition_prefix(number, partition);
        let empty = Tail { next: Offset(0), append_time: AppendTime(i64::MIN), deleted: false };
        let Some(last) = self.records.prefix(prefix).next_back() else { return Ok(empty) };
        let (key, block) = last.into_inner().map_err(|error| self.failed(error))?;
        layout::records(&key, &block).try_fold(empty, |_, record| {
            let record = record?;
            Ok(Tail { next: record.offset.next(), append_time: record.append_time, ..empty })
        })
    }

    pub(super) fn add(&self, state: Arc<TopicState>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(state.name.clone(), state);
    }

    pub(super) fn remove(&self, name: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Every topic, in no order.
    pub(super) fn all(&self) -> Vec<Arc<TopicState>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<Arc<TopicState>, Error> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned().ok_or_else(|| Error::NoTopic { topic: name.to_owned() })
    }

    pub(super) fn failed(&self, error: fjall::Error) -> Error {
        self.database.failed(error).into()
    }
}

impl TopicState {
    pub(super) fn tail(&self, partition: Partition) -> &watch::Sender<Tail> {
        &self.tails[partition.0 as usize]
    }

    /// Nothing is ever cut off the front, so each partition begins at 0.
    pub(super) fn bounds(&self) -> Vec<Bounds> {
        let next = |tail: &watch::Sender<Tail>| tail.borrow().next;
        self.tails.iter().map(|tail| Bounds { first: Offset(0), next: next(tail) }).collect()
    }
}
