//! Reading: positions, limits, waiting.

use std::time::Duration;

use record::{Offset, Partition};

use super::Harness;
use super::helpers::{PATIENCE, append, read, read_partition, reader, record};
use crate::Error;

/// A reader starts at any position, the end included, and says where it is.
pub async fn readers_start_anywhere(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("anywhere");
    log.create(&name, 1).await.expect("a new topic");
    let records = (0..10).map(|i| record("k", format!("{i}"))).collect();
    let appended = append(&*log, &name, records).await;
    for (start, at) in appended.iter().enumerate() {
        let mut reader = reader(&*log, &name, at.partition, at.offset).await;
        assert_eq!(reader.position(), at.offset);
        let found = read(&mut *reader, 10 - start).await;
        assert_eq!(found[0].offset, at.offset);
        assert_eq!(found[0].value, start.to_string().as_bytes());
        assert!(reader.position() > found[found.len() - 1].offset, "past what was read");
    }
    let end = log.bounds(&name).await.expect("its bounds")[0].next;
    let mut at_end = reader(&*log, &name, Partition(0), end).await;
    append(&*log, &name, vec![record("k", "10")]).await;
    assert_eq!(read(&mut *at_end, 1).await[0].value, b"10");
}

/// A call returns at most `records_max`, and the next one goes on from there.
pub async fn readers_take_at_most_what_they_ask_for(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("at-most");
    log.create(&name, 1).await.expect("a new topic");
    append(&*log, &name, (0..25).map(|i| record("k", format!("{i:02}"))).collect()).await;
    let mut reader = reader(&*log, &name, Partition(0), Offset(0)).await;
    let mut values = Vec::new();
    while values.len() < 25 {
        let found = reader.next(7, PATIENCE).await.expect("a readable partition");
        assert!((1..=7).contains(&found.len()), "{} records", found.len());
        values.extend(found.into_iter().map(|record| record.value));
    }
    assert!(values.is_sorted_by(|a, b| a < b), "each record once, in order");
    assert!(reader.next(0, PATIENCE).await.expect("nothing was asked for").is_empty());
}

/// A position beyond the end is an error that says so and what to do.
pub async fn positions_outside_are_errors(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("outside");
    log.create(&name, 1).await.expect("a new topic");
    append(&*log, &name, vec![record("k", "v")]).await;
    let beyond = Offset(1_000_000);
    let error = match log.reader(&name, Partition(0), beyond).await {
        Err(error) => error,
        Ok(mut reader) => match reader.next(1, PATIENCE).await {
            Err(error) => error,
            Ok(found) => panic!("read {found:?} beyond the end"),
        },
    };
    assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
    assert!(error.to_string().contains("bootstrap"), "names the remedy: {error}");
}

/// Nothing there: empty after the wait, not before it, and not much later.
pub async fn an_empty_partition_waits(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("empty");
    log.create(&name, 1).await.expect("a new topic");
    let mut reader = reader(&*log, &name, Partition(0), Offset(0)).await;
    assert!(reader.next(10, Duration::ZERO).await.expect("an empty partition").is_empty());
    let before = tokio::time::Instant::now();
    let found = reader.next(10, Duration::from_millis(300)).await.expect("an empty partition");
    let waited = before.elapsed();
    assert!(found.is_empty());
    assert!(waited >= Duration::from_millis(250), "waited {waited:?}");
    assert!(waited < Duration::from_secs(10), "waited {waited:?}");
    assert_eq!(reader.position(), Offset(0));
}

/// An append ends the wait of a reader.
pub async fn an_append_wakes_readers(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("wakes");
    log.create(&name, 1).await.expect("a new topic");
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut reader = reader(&*log, &name, Partition(0), Offset(0)).await;
        waiting.push(tokio::spawn(async move {
            let before = tokio::time::Instant::now();
            let found = reader.next(10, PATIENCE).await.expect("a readable partition");
            (found, before.elapsed())
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    append(&*log, &name, vec![record("k", "wake up")]).await;
    for reader in waiting {
        let (found, waited) = reader.await.expect("a reader that does not panic");
        assert_eq!(found.len(), 1, "woken after {waited:?}");
        assert!(waited < PATIENCE / 2, "woken after {waited:?}");
    }
}

/// A call that is dropped while it waits takes nothing with it.
pub async fn a_dropped_read_loses_nothing(harness: &dyn Harness) {
    const RECORDS: usize = 60;
    let log = harness.open().await;
    let name = harness.topic("dropped");
    log.create(&name, 1).await.expect("a new topic");
    let mut reader = reader(&*log, &name, Partition(0), Offset(0)).await;
    let appender = {
        let (log, name) = (log.clone(), name.clone());
        tokio::spawn(async move {
            for i in 0..RECORDS {
                append(&*log, &name, vec![record("k", format!("{i:03}"))]).await;
            }
        })
    };
    let mut values = Vec::new();
    let all = async {
        for pause_us in (0..2_000).step_by(37).cycle() {
            let pause = Duration::from_micros(pause_us);
            // The outer timeout drops the call wherever it stands.
            if let Ok(found) = tokio::time::timeout(pause, reader.next(2, PATIENCE)).await {
                values.extend(found.expect("a readable partition").into_iter().map(|r| r.value));
            }
            if values.len() >= RECORDS {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    appender.await.expect("an appender that does not panic");
    assert!(in_time.is_ok(), "{} of {RECORDS} records", values.len());
    let expected: Vec<_> = (0..RECORDS).map(|i| format!("{i:03}").into_bytes()).collect();
    assert_eq!(values, expected, "each record once, in order");
}

/// Many records and many bytes in one append: all there, in order.
pub async fn large_batches_arrive_whole(harness: &dyn Harness) {
    const RECORDS: usize = 10_000;
    let log = harness.open().await;
    let name = harness.topic("batch");
    log.create(&name, 1).await.expect("a new topic");
    let value = |i: usize| format!("{i:06} {}", "x".repeat(i % 2_000)).into_bytes();
    append(&*log, &name, (0..RECORDS).map(|i| record("k", value(i))).collect()).await;
    let found = read_partition(&*log, &name, Partition(0), RECORDS).await;
    for (i, found) in found.iter().enumerate() {
        assert_eq!(found.value, value(i), "record {i}");
    }
}

/// A reader sees its own partition of its own topic only.
pub async fn partitions_do_not_mix(harness: &dyn Harness) {
    let log = harness.open().await;
    let names = [harness.topic("mix-a"), harness.topic("mix-b")];
    for name in &names {
        log.create(name, 4).await.expect("a new topic");
        append(&*log, name, (0..80).map(|i| record(format!("{i}"), name)).collect()).await;
    }
    let mut total = 0;
    for name in &names {
        for (partition, bounds) in log.bounds(name).await.expect("its bounds").iter().enumerate() {
            let partition = Partition(partition as u32);
            let keys = (0..80).map(|i| format!("{i}"));
            let here: Vec<_> = keys
                .filter(|key| record::partition_for_key(key.as_bytes(), 4) == partition)
                .collect();
            let mut reader = reader(&*log, name, partition, bounds.first).await;
            let found = read(&mut *reader, here.len()).await;
            for (key, record) in here.iter().zip(&found) {
                assert_eq!(record.key, key.as_bytes());
                assert_eq!(record.value, name.as_bytes());
            }
            let more = reader.next(1, Duration::from_millis(50)).await.expect("nothing more");
            assert!(more.is_empty(), "{more:?}");
            total += found.len();
        }
    }
    assert_eq!(total, 160);
}

/// A reader of a partition that another has just read starts at its own position, not at the
/// other's.
pub async fn readers_after_others_start_where_they_are_told(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("after-others");
    log.create(&name, 1).await.expect("a new topic");
    let appended =
        append(&*log, &name, (0..50).map(|i| record("k", format!("{i}"))).collect()).await;
    for round in 0..10 {
        let from = appended[round].offset;
        let mut reader = reader(&*log, &name, Partition(0), from).await;
        let found = read(&mut *reader, 50 - round).await;
        assert_eq!(found[0].offset, from, "round {round}");
        assert!(reader.position() > appended[49].offset);
    }
}

/// Who reads until its position has reached the end that the log told has read everything.
pub async fn readers_reach_the_end_of_the_bounds(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("end");
    log.create(&name, 1).await.expect("a new topic");
    for round in 1..4 {
        append(&*log, &name, (0..30).map(|i| record("k", format!("{i}"))).collect()).await;
        let bounds = log.bounds(&name).await.expect("its bounds")[0];
        let mut reader = reader(&*log, &name, Partition(0), bounds.first).await;
        let mut count = 0;
        let all = async {
            while reader.position() < bounds.next {
                let found = reader.next(7, Duration::from_millis(100)).await;
                count += found.expect("a readable partition").len();
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, all).await;
        assert!(in_time.is_ok(), "at {} of {}", reader.position(), bounds.next);
        assert_eq!(count, 30 * round);
    }
}
