//! What outlives the process that wrote it.

use record::Partition;

use super::Harness;
use super::helpers::{append, read_partition, record};

/// Acknowledged records are there, unchanged, for the next process.
pub async fn what_was_acknowledged_is_there_after_reopening(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("reopened");
    log.create(&name, 2).await.expect("a new topic");
    let records: Vec<_> = (0..500).map(|i| record(format!("{i}"), format!("value {i}"))).collect();
    let outcomes = append(&*log, &name, records).await;
    let bounds = log.bounds(&name).await.expect("its bounds");
    let mut before = Vec::new();
    for partition in (0..2).map(Partition) {
        let count = outcomes.iter().filter(|outcome| outcome.partition == partition).count();
        before.push(read_partition(&*log, &name, partition, count).await);
    }
    drop(log);
    let log = harness.open().await;
    assert_eq!(log.bounds(&name).await.expect("its bounds"), bounds);
    for (partition, before) in before.iter().enumerate() {
        let partition = Partition(partition as u32);
        let after = read_partition(&*log, &name, partition, before.len()).await;
        assert_eq!(&after, before, "times and offsets included");
    }
}

/// The next process appends behind the last one, and time does not go back.
pub async fn offsets_go_on_after_reopening(harness: &dyn Harness) {
    let name = harness.topic("goes-on");
    let mut last = None;
    for round in 0..4 {
        let log = harness.open().await;
        log.create(&name, 1).await.expect("the topic");
        let appended = append(&*log, &name, vec![record("k", format!("{round}"))]).await;
        let now = (appended[0].offset, appended[0].append_time);
        if let Some((offset, time)) = last {
            assert!(now.0 > offset, "round {round}: offsets rise");
            assert!(now.1 >= time, "round {round}: times do not go back");
        }
        last = Some(now);
    }
    let log = harness.open().await;
    let found = read_partition(&*log, &name, Partition(0), 4).await;
    let values: Vec<_> = found.iter().map(|record| &*record.value).collect();
    assert_eq!(values, [b"0", b"1", b"2", b"3"]);
}

/// A topic keeps its identity.
pub async fn log_ids_survive_reopening(harness: &dyn Harness) {
    let log = harness.open().await;
    let names = [harness.topic("id-a"), harness.topic("id-b")];
    let mut topics = Vec::new();
    for name in &names {
        topics.push(log.create(name, 3).await.expect("a new topic"));
    }
    assert_ne!(topics[0].log, topics[1].log, "each topic has its own id");
    drop(log);
    let log = harness.open().await;
    for (name, topic) in names.iter().zip(topics) {
        assert_eq!(log.topic(name).await.expect("the topic"), topic);
    }
}
