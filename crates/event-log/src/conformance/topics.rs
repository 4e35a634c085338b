//! Topics: their identity and their fixed number of partitions.

use record::{Offset, Partition};

use super::Harness;
use super::helpers::{append, read_partition, record};
use crate::Error;

/// Creating a topic again returns the one that is there.
pub async fn create_returns_what_exists(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("exists");
    let created = log.create(&name, 4).await.expect("a new topic");
    assert_eq!(created.partitions, 4);
    assert_eq!(log.create(&name, 4).await.expect("the same topic"), created);
    assert_eq!(log.topic(&name).await.expect("the same topic"), created);
    assert_eq!(log.bounds(&name).await.expect("its bounds").len(), 4, "one per partition");
}

/// Whatever is asked of a topic that is not there says so.
pub async fn unknown_topics_are_errors(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("unknown");
    assert!(matches!(log.topic(&name).await, Err(Error::NoTopic { .. })));
    assert!(matches!(log.bounds(&name).await, Err(Error::NoTopic { .. })));
    let appended = log.append(&name, vec![record("k", "v")]).await;
    assert!(matches!(appended, Err(Error::NoTopic { .. })));
    let reader = log.reader(&name, Partition(0), Offset(0)).await;
    assert!(matches!(reader.err(), Some(Error::NoTopic { .. })));
}

/// The number of partitions never changes.
pub async fn partitions_are_fixed(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("fixed");
    log.create(&name, 4).await.expect("a new topic");
    let other = log.create(&name, 8).await;
    assert!(matches!(other, Err(Error::Partitions { found: 4, expected: 8, .. })), "{other:?}");
    let beyond = log.reader(&name, Partition(4), Offset(0)).await.err();
    assert!(matches!(beyond, Some(Error::NoPartition { partitions: 4, .. })), "{beyond:?}");
}

/// Names and numbers of partitions that no log could have.
pub async fn bad_topics_are_refused(harness: &dyn Harness) {
    let log = harness.open().await;
    let long = "a".repeat(250);
    for (name, partitions) in [("", 1), ("a/b", 1), ("ä", 1), (&*long, 1), ("none", 0)] {
        let refused = log.create(name, partitions).await;
        assert!(matches!(refused, Err(Error::BadTopic { .. })), "{name:?}: {refused:?}");
    }
}

/// A topic deleted and created again has another id and nothing of the old one's records.
pub async fn a_recreated_topic_is_another_log(harness: &dyn Harness) {
    let log = harness.open().await;
    let name = harness.topic("recreated");
    let old = log.create(&name, 1).await.expect("a new topic");
    append(&*log, &name, vec![record("k", "old"), record("k", "old too")]).await;
    drop(log);
    harness.delete(&name).await;
    let log = harness.open().await;
    assert!(matches!(log.topic(&name).await, Err(Error::NoTopic { .. })));
    let new = log.create(&name, 1).await.expect("a new topic");
    assert_ne!(new.log, old.log, "a recreated topic has another id");
    append(&*log, &name, vec![record("k", "new")]).await;
    let records = read_partition(&*log, &name, Partition(0), 1).await;
    assert_eq!(records[0].value, b"new", "nothing of the old topic");
}
