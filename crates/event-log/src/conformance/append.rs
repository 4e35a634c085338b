//! Appending: outcomes, order, partitions, sizes, times.

use std::collections::BTreeSet;
use std::sync::Arc;

use record::{Partition, Trace, partition_for_key};

use super::Harness;
use super::helpers::{append, read_partition, record};
use crate::{Error, NewRecord, RECORD_BYTES_MAX};

/// Outcomes stand in the order of the records, and so do the offsets of one partition.
pub async fn one_outcome_per_record_in_order(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("order");
    log.create(&name, 3).await.expect("a new topic");
    let records: Vec<_> =
        (0..200).map(|i| record(format!("key {}", i % 17), format!("value {i}"))).collect();
    let outcomes = append(&*log, &name, records.clone()).await;
    for partition in (0..3).map(Partition) {
        let here: Vec<_> =
            records.iter().zip(&outcomes).filter(|(_, o)| o.partition == partition).collect();
        assert!(here.is_sorted_by(|(_, a), (_, b)| a.offset < b.offset), "offsets rise");
        let found = read_partition(&*log, &name, partition, here.len()).await;
        for ((sent, outcome), found) in here.iter().zip(&found) {
            assert_eq!(found.partition, partition);
            assert_eq!(found.offset, outcome.offset, "the outcome names the record");
            assert_eq!(found.append_time, outcome.append_time);
            assert_eq!((&found.key, &found.value), (&sent.key, &sent.value));
        }
    }
}

/// The partition is that of the one declared partitioner.
pub async fn the_key_chooses_the_partition(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("partitioner");
    log.create(&name, 5).await.expect("a new topic");
    let keys: Vec<_> = (0..100).map(|i| format!("visitor-{i}")).collect();
    let records = keys.iter().map(|key| record(key, "v")).collect();
    for (key, outcome) in keys.iter().zip(append(&*log, &name, records).await) {
        assert_eq!(outcome.partition, partition_for_key(key.as_bytes(), 5), "key {key}");
    }
}

/// A trace comes back with its record and no other, also with the largest one, and after the log was opened
/// again.
pub async fn traces_come_back_with_their_records(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("traces");
    log.create(&name, 1).await.expect("a new topic");
    let member = |name: char| format!("{name}={}", "v".repeat(100));
    let state: Vec<String> = ['a', 'b', 'c', 'd'].into_iter().map(member).collect();
    let full = Trace { id: [0xab; 16], span: [1; 8], flags: 3, state: state.join(",") };
    let traced = |trace: Trace, value: Vec<u8>| NewRecord {
        key: b"k".to_vec(),
        value,
        trace: Some(Box::new(trace)),
    };
    let records = vec![
        record("k", "none"),
        traced(Trace::new([7; 16], [8; 8]), b"begun here".to_vec()),
        record("", ""),
        traced(full, vec![0x80; RECORD_BYTES_MAX - 1]),
    ];
    append(&*log, &name, records.clone()).await;
    drop(log);
    let log = harness.open().await;
    let found = read_partition(&*log, &name, Partition(0), records.len()).await;
    for (sent, found) in records.iter().zip(&found) {
        assert_eq!((&found.key, &found.trace), (&sent.key, &sent.trace));
        assert!(found.value == sent.value, "the value is as it was");
    }
}

/// Keys and values come back byte for byte, empty ones too.
pub async fn keys_and_values_are_any_bytes(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("bytes");
    log.create(&name, 1).await.expect("a new topic");
    let all: Vec<u8> = (0..=255).collect();
    let records = vec![
        record("", ""),
        record("", "value without a key"),
        record("key without a value", ""),
        record(&all, &all),
        record([0, 0, 0], [255, 0, 10, 13]),
    ];
    append(&*log, &name, records.clone()).await;
    let found = read_partition(&*log, &name, Partition(0), records.len()).await;
    for (sent, found) in records.iter().zip(found) {
        assert_eq!((&found.key, &found.value), (&sent.key, &sent.value));
    }
}

/// A record that is too large has its own error; those beside it are appended.
pub async fn too_large_records_are_refused_alone(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("large");
    log.create(&name, 1).await.expect("a new topic");
    let large = vec![7; RECORD_BYTES_MAX - 1];
    let records = vec![
        record("k", "before"),
        record("k", vec![0; RECORD_BYTES_MAX]),
        record("k", &large),
        record("k", "after"),
    ];
    let outcomes = log.append(&name, records).await.expect("the topic exists");
    assert_eq!(outcomes.len(), 4);
    assert!(matches!(outcomes[1], Err(Error::TooLarge { .. })), "{:?}", outcomes[1]);
    assert!([0, 2, 3].iter().all(|i| outcomes[*i].is_ok()), "{outcomes:?}");
    let found = read_partition(&*log, &name, Partition(0), 3).await;
    assert_eq!(found[0].value, b"before");
    assert_eq!(found[1].value, large, "the largest record comes back whole");
    assert_eq!(found[2].value, b"after");
}

/// The log's own time does not go back within a partition.
pub async fn append_times_never_go_back(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("times");
    log.create(&name, 1).await.expect("a new topic");
    let mut outcomes = Vec::new();
    for i in 0..20 {
        outcomes.extend(append(&*log, &name, vec![record("k", format!("{i}"))]).await);
    }
    assert!(outcomes.is_sorted_by_key(|outcome| outcome.append_time), "{outcomes:?}");
}

/// Appenders at the same time: each record once, each appender's own order kept.
pub async fn concurrent_appenders_lose_nothing(harness: &dyn Harness) {
    const APPENDERS: usize = 16;
    const RECORDS: usize = 40;
    let log = harness.open().await;
    let name = Arc::new(harness.topic("concurrent"));
    log.create(&name, 2).await.expect("a new topic");
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|appender| {
            let (log, name) = (Arc::clone(&log), Arc::clone(&name));
            tokio::spawn(async move {
                for i in 0..RECORDS {
                    let sent = record(format!("{appender}"), format!("{appender}:{i:03}"));
                    append(&*log, &name, vec![sent]).await;
                }
            })
        })
        .collect();
    for appender in appenders {
        appender.await.expect("an appender that does not panic");
    }
    let mut values = BTreeSet::new();
    for partition in (0..2).map(Partition) {
        let here = (0..APPENDERS)
            .filter(|a| partition_for_key(a.to_string().as_bytes(), 2) == partition)
            .count();
        let found = read_partition(&*log, &name, partition, here * RECORDS).await;
        assert!(found.is_sorted_by(|a, b| a.offset < b.offset), "offsets rise");
        for appender in 0..APPENDERS {
            let key = appender.to_string().into_bytes();
            let own: Vec<_> = found.iter().filter(|r| r.key == key).map(|r| &r.value).collect();
            assert!(own.is_sorted(), "appender {appender}'s records are in its order");
        }
        values.extend(found.into_iter().map(|record| record.value));
    }
    assert_eq!(values.len(), APPENDERS * RECORDS, "each record once");
}

/// No records, no outcomes, no error.
pub async fn an_empty_append_is_nothing(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("nothing");
    log.create(&name, 1).await.expect("a new topic");
    assert!(append(&*log, &name, Vec::new()).await.is_empty());
    let bounds = log.bounds(&name).await.expect("its bounds");
    assert_eq!(bounds[0].first, bounds[0].next);
}
