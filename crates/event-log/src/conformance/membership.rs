//! Membership, as far as every log has it: who is alone has everything, and positions are nobody's.

use std::collections::BTreeSet;

use record::{Offset, Partition};

use super::Harness;
use super::helpers::{PATIENCE, append, read_partition, record};
use crate::{Change, Error, EventLog, Membership, Share};

fn all(topics: &[&str], partitions: u32) -> BTreeSet<Share> {
    let of = |topic: &str| {
        let topic: std::sync::Arc<str> = topic.into();
        let partitions = (0..partitions).map(Partition);
        partitions
            .map(move |partition| Share { topic: topic.clone(), partition })
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(|topic| of(topic)).collect()
}

/// Waits until a member has these shares, which none may take from it.
async fn has(member: &mut dyn Membership, wanted: &BTreeSet<Share>) {
    let mut had = BTreeSet::new();
    let all = async {
        while had != *wanted {
            match member.next().await.expect("a member") {
                Change::Assigned(shares) => had.extend(shares),
                other => panic!("nobody else is there: {other:?}"),
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, all).await;
    assert!(in_time.is_ok(), "{had:?} of {wanted:?} within {PATIENCE:?}");
}

async fn join(log: &dyn EventLog, topics: &[&str]) -> Box<dyn Membership> {
    log.join(topics).await.expect("topics that exist")
}

/// The only member has every partition of every topic, each once.
pub async fn who_is_alone_has_every_partition(harness: &dyn Harness) {
    let log = harness.open().await;
    let (one, two) = (harness.topic("shared-one"), harness.topic("shared-two"));
    for topic in [&one, &two] {
        log.create(topic, 3).await.expect("a new topic");
    }
    let topics = [one.as_str(), two.as_str()];
    let mut member = join(&*log, &topics).await;
    has(&mut *member, &all(&topics, 3)).await;
    member.leave().await;
}

/// What a member had, the next one gets, from another process too.
pub async fn who_comes_after_one_that_left_has_every_partition(harness: &dyn Harness) {
    let topic = harness.topic("left");
    for round in 0..3 {
        let log = harness.open().await;
        log.create(&topic, 2).await.expect("the topic");
        let mut member = join(&*log, &[&topic]).await;
        has(&mut *member, &all(&[&topic], 2)).await;
        match round {
            // Dropped like this it leaves, too.
            1 => drop(member),
            _ => member.leave().await,
        }
    }
}

/// A hint is no position: nothing that is read begins at it.
pub async fn hints_move_no_reader(harness: &dyn Harness) {
    let log = harness.open().await;
    let topic = harness.topic("hinted");
    log.create(&topic, 1).await.expect("a new topic");
    let records = (0..50).map(|n| record("k", format!("{n}"))).collect();
    let appended = append(&*log, &topic, records).await;
    let share = Share { topic: topic.as_str().into(), partition: Partition(0) };
    for hint in [Offset(0), appended[49].offset.next(), appended[20].offset, Offset(u64::MAX)] {
        let mut member = join(&*log, &[&topic]).await;
        has(&mut *member, &all(&[&topic], 1)).await;
        member.hint(&[(share.clone(), hint)]);
        let records = read_partition(&*log, &topic, Partition(0), 50).await;
        assert_eq!(records[0].offset, appended[0].offset);
        member.leave().await;
    }
}

/// Nobody has partitions of what is not there.
pub async fn unknown_topics_have_no_members(harness: &dyn Harness) {
    let log = harness.open().await;
    let joined = log.join(&[&harness.topic("nobody")]).await;
    assert!(matches!(joined.err(), Some(Error::NoTopic { .. })));
}
