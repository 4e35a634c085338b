//! Into the log, in large batches, durable one after the other.

use anyhow::Context;
use event_log::{EventLog, NewRecord};

use super::{DeadLetter, Event};

/// Records of one append: large, because each append is one sync.
const BATCH: usize = 5000;

/// Appends the events in their order and then the dead letters; the number of events.
pub(crate) async fn append(
    log: &dyn EventLog,
    topic: &str,
    dead_letter_topic: &str,
    events: Vec<Event>,
    dead_letters: &[DeadLetter],
    mut progress: impl FnMut(u64),
) -> anyhow::Result<u64> {
    let mut appended = 0;
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let batch: Vec<NewRecord> = events
            .by_ref()
            .take(BATCH)
            .map(|event| NewRecord { key: event.key, value: event.value, trace: None })
            .collect();
        let count = batch.len() as u64;
        check(log.append(topic, batch).await?)
            .with_context(|| format!("after {appended} events; import the same file again with --allow-late: what is there \
                     already is judged as a duplicate, or as late, and counts once"))?;
        appended += count;
        progress(count);
    }
    for batch in dead_letters.chunks(BATCH) {
        let records = batch.iter().map(|letter| NewRecord {
            key: letter.id.clone().into_bytes(),
            value: serde_json::to_vec(letter).expect("text and numbers are JSON"),
            trace: None,
        });
        check(log.append(dead_letter_topic, records.collect()).await?)?;
    }
    Ok(appended)
}

fn check(
    outcomes: Vec<Result<event_log::Appended, event_log::Error>>,
) -> Result<(), event_log::Error> {
    outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
}
