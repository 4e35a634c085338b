use std::collections::HashMap;
use std::sync::Arc;

use ::embedded::Ticket;
use ::embedded::crash::Point;
use fjall::{Keyspace, OwnedWriteBatch};
use record::{LogId, Offset, Partition};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Answered, Append, Job};
use crate::embedded::Settings;
use crate::embedded::ends::LastEnds;
use crate::embedded::layout;
use crate::embedded::topics::{Tail, TopicState, Topics};
use crate::{Appended, Error, Topic};

/// A group of appends that share one sync is closed at about this size, in bytes.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// How often it is noted where the log ends, while records come in.
const NOTE_EVERY_MS: u64 = 5_000;
/// A block of records is ended at about this size, in bytes: a reader reads it as a whole.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks removed by one batch.
const DELETE_BLOCKS_MAX: usize = 10_000;

/// Works until the other end of the queue is dropped.
pub(super) fn run(
    topics: &Topics,
    ends: &LastEnds,
    settings: &Settings,
    mut queue: UnboundedReceiver<Job>,
) {
    let (mut left, mut noted) = (None, (settings.clock)());
    while let Some(job) = left.take().or_else(|| queue.blocking_recv()) {
        match job {
            Job::Create { topic, partitions, answer } => {
                // Whoever does not wait any more finds the topic there.
                let _ = answer.send(create(topics, settings, topic, partitions));
            }
            Job::Delete { topic, answer } => {
                let _ = answer.send(delete(topics, ends, &topic));
            }
            Job::Append(first) => {
                let mut bytes = first.bytes;
                let mut group = vec![first];
                while bytes < GROUP_BYTES_MAX {
                    match queue.try_recv() {
                        Ok(Job::Append(append)) => {
                            bytes += append.bytes;
                            group.push(append);
                        }
                        Ok(other) => {
                            left = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                append(topics, settings, group);
                let now = (settings.clock)();
                // The clock may be set back.
                if now.0.abs_diff(noted.0) >= NOTE_EVERY_MS {
                    ends.note(topics);
                    noted = now;
                }
            }
        }
    }
    ends.note(topics);
}

/// A partition while a group is appended to it.
struct Writing {
    topic: Arc<TopicState>,
    partition: Partition,
    /// After what is in the block.
    tail: Tail,
    /// Offset of the block's first record.
    first: Offset,
    block: Vec<u8>,
}

impl Writing {
    fn new(topic: &Arc<TopicState>, partition: Partition) -> Self {
        let tail = *topic.tail(partition).borrow();
        Self { topic: Arc::clone(topic), partition, tail, first: tail.next, block: Vec::new() }
    }

    /// Adds the block to the batch, if there is something in it, and begins the next one.
    fn end_block(&mut self, records: &Keyspace, batch: &mut OwnedWriteBatch) {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            batch.insert(
                records,
                layout::block_key(self.topic.number, self.partition, self.first),
                block,
            );
        }
        self.first = self.tail.next;
    }
}

/// Appends a group with one write and one sync, then shows it, then answers whom it has not answered yet.
fn append(topics: &Topics, settings: &Settings, group: Vec<Append>) {
    let (gone, group): (Vec<_>, Vec<_>) = group.into_iter().partition(is_deleted);
    for append in gone {
        let _ = append.answer.send(Err(Error::NoTopic { topic: append.topic.name.clone() }));
    }
    if group.is_empty() {
        return;
    }
    let mut batch = topics.database.batch();
    let mut partitions = HashMap::<(u32, Partition), Writing>::new();
    let mut waiting = Vec::with_capacity(group.len());
    for append in group {
        let (topic, now) = (&append.topic, (settings.clock)());
        let mut appended = Vec::with_capacity(append.records.len());
        for (partition, record) in &append.records {
            let writing = partitions
                .entry((topic.number, *partition))
                .or_insert_with(|| Writing::new(topic, *partition));
            let Writing { tail, block, .. } = writing;
            tail.append_time = tail.append_time.max(now);
            layout::put_record(tail.append_time, record, block);
            appended.push(Appended {
                partition: *partition,
                offset: tail.next,
                append_time: tail.append_time,
            });
            tail.next = tail.next.next();
            if block.len() >= BLOCK_BYTES {
                writing.end_block(&topics.records, &mut batch);
            }
        }
        waiting.push((append, appended));
    }
    for writing in partitions.values_mut() {
        writing.end_block(&topics.records, &mut batch);
    }
    let written = write(topics, batch).and_then(|ticket| {
        // If the sync fails the database takes no more writes, so nothing comes after these.
        let until_written = |waits: &mut (Append, _)| waits.0.answered == Answered::Written;
        waiting.extract_if(.., until_written).for_each(answer);
        sync(topics, ticket)
    });
    if let Err(error) = written {
        tracing::error!(%error, "the event log cannot append");
        for (append, _) in waiting {
            let _ = append.answer.send(Err(super::again(&error)));
        }
        return;
    }
    for Writing { topic, partition, tail, .. } in partitions.into_values() {
        topic.tail(partition).send_replace(tail);
    }
    topics.database.pass(Point::LogAppendBeforeReply);
    waiting.into_iter().for_each(answer);
}

/// An appender that went away in the meantime has its records in the log all the same.
fn answer((append, appended): (Append, Vec<Appended>)) {
    let _ = append.answer.send(Ok(appended));
}

/// Its topic was deleted while it waited in the queue.
fn is_deleted(append: &Append) -> bool {
    append.topic.tails.iter().any(|tail| tail.borrow().deleted)
}

fn write(topics: &Topics, batch: OwnedWriteBatch) -> Result<Ticket, Error> {
    let database = &topics.database;
    database.pass(Point::LogAppendBeforeWrite);
    let ticket = database.write(batch)?;
    database.pass(Point::LogAppendAfterWrite);
    Ok(ticket)
}

fn sync(topics: &Topics, ticket: Ticket) -> Result<(), Error> {
    topics.database.sync(ticket)?;
    topics.database.pass(Point::LogAppendAfterSync);
    Ok(())
}

fn create(
    topics: &Topics,
    settings: &Settings,
    name: String,
    partitions: u32,
) -> Result<Topic, Error> {
    if let Ok(state) = topics.get(&name) {
        return Ok(state.topic);
    }
    let database = &topics.database;
    let next = topics.stored.get(layout::NEXT_NUMBER).map_err(|error| topics.failed(error))?;
    let number = match next {
        None => 0,
        Some(next) => u32::from_be_bytes(next.as_ref().try_into().map_err(|_| Error::Damaged {
            at: "next topic number".to_owned(),
            what: "of a wrong length",
        })?),
    };
    let topic = Topic { log: LogId((settings.entropy)()), partitions };
    let mut batch = database.batch();
    batch.insert(&topics.stored, name.as_bytes(), layout::topic_value(number, topic));
    batch.insert(&topics.stored, layout::NEXT_NUMBER, (number + 1).to_be_bytes());
    database.pass(Point::LogCreateBeforeWrite);
    let ticket = database.write(batch)?;
    database.pass(Point::LogCreateAfterWrite);
    database.sync(ticket)?;
    topics.add(topics.state(name, number, topic)?);
    Ok(topic)
}

/// Removes the name first, so that a crash leaves records that nothing names, under a number that
/// is never used again.
fn delete(topics: &Topics, ends: &LastEnds, name: &str) -> Result<(), Error> {
    let state = topics.get(name)?;
    // Before it is gone: a crash in between must not make a loss of it.
    ends.forget(topics, name)?;
    let database = &topics.database;
    let mut batch = database.batch();
    batch.remove(&topics.stored, name.as_bytes());
    database.sync(database.write(batch)?)?;
    topics.remove(name);
    for tail in &state.tails {
        tail.send_modify(|tail| tail.deleted = true);
    }
    for partition in (0..state.topic.partitions).map(Partition) {
        let mut from = layout::block_key(state.number, partition, Offset(0)).to_vec();
        let prefix = layout::partition_prefix(state.number, partition);
        loop {
            let mut batch = database.batch();
            for entry in topics.records.range(from.clone()..).take(DELETE_BLOCKS_MAX) {
                let key = entry.key().map_err(|error| topics.failed(error))?;
                if !key.starts_with(&prefix) {
                    break;
                }
                from = key.to_vec();
                batch.remove(&topics.records, key);
            }
            if batch.is_empty() {
                break;
            }
            database.write(batch)?;
        }
    }
    Ok(())
}
