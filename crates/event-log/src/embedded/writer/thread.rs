use std::collections::HashMap;
use std::sync::Arc;

use ::embedded::Ticket;
use ::embedded::crash::Point;
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
/// Records removed by one batch.
const DELETE_RECORDS_MAX: usize = 10_000;

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
    let mut tails = HashMap::<(u32, Partition), (Arc<TopicState>, Tail)>::new();
    let mut waiting = Vec::with_capacity(group.len());
    for append in group {
        let (topic, now) = (&append.topic, (settings.clock)());
        let mut appended = Vec::with_capacity(append.records.len());
        for (partition, record) in &append.records {
            let (_, tail) = tails
                .entry((topic.number, *partition))
                .or_insert_with(|| (Arc::clone(topic), *topic.tail(*partition).borrow()));
            tail.append_time = tail.append_time.max(now);
            let key = layout::record_key(topic.number, *partition, tail.next);
            batch.insert(&topics.records, key, layout::record_value(tail.append_time, record));
            appended.push(Appended {
                partition: *partition,
                offset: tail.next,
                append_time: tail.append_time,
            });
            tail.next = tail.next.next();
        }
        waiting.push((append, appended));
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
    for ((_, partition), (topic, tail)) in tails {
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

fn write(topics: &Topics, batch: fjall::OwnedWriteBatch) -> Result<Ticket, Error> {
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
        let next = state.tail(partition).borrow().next;
        let mut from = 0;
        while from < next.0 {
            let to = next.0.min(from + DELETE_RECORDS_MAX as u64);
            let mut batch = database.batch();
            for offset in (from..to).map(Offset) {
                let key = layout::record_key(state.number, partition, offset);
                batch.remove(&topics.records, key);
            }
            database.write(batch)?;
            from = to;
        }
    }
    Ok(())
}
