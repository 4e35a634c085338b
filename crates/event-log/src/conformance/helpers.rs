use std::time::Duration;

use record::{Offset, Partition, Record};

use crate::{Appended, EventLog, NewRecord, Reader};

/// How long something may take to become visible before the suite calls it lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// One wait for more records.
const STEP: Duration = Duration::from_millis(500);

pub(super) fn record(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> NewRecord {
    NewRecord { key: key.as_ref().to_vec(), value: value.as_ref().to_vec(), trace: None }
}

/// Appends records that the log must take.
pub(super) async fn append(
    log: &dyn EventLog,
    topic: &str,
    records: Vec<NewRecord>,
) -> Vec<Appended> {
    let count = records.len();
    let outcomes = log.append(topic, records).await.expect("the topic exists");
    assert_eq!(outcomes.len(), count, "one outcome per record");
    outcomes.into_iter().map(|outcome| outcome.expect("a record that the log takes")).collect()
}

pub(super) async fn reader(
    log: &dyn EventLog,
    topic: &str,
    partition: Partition,
    from: Offset,
) -> Box<dyn Reader> {
    log.reader(topic, partition, from).await.expect("a reader within the log's bounds")
}

/// Reads until `count` records are there, and fails if they do not come.
pub(super) async fn read(reader: &mut dyn Reader, count: usize) -> Vec<Record> {
    let mut found = Vec::new();
    let all = async {
        while found.len() < count {
            let left = count - found.len();
            found.extend(reader.next(left, STEP).await.expect("a readable partition"));
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    assert!(in_time.is_ok(), "{} of {count} records within {PATIENCE:?}", found.len());
    found
}

/// All records that `appended` says are in a partition, read from its first offset.
pub(super) async fn read_partition(
    log: &dyn EventLog,
    topic: &str,
    partition: Partition,
    count: usize,
) -> Vec<Record> {
    let first = log.bounds(topic).await.expect("the topic exists")[partition.0 as usize].first;
    read(&mut *reader(log, topic, partition, first).await, count).await
}
