//! Members of a group on a real broker: they share, leave, fall silent and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Change, EventLog, Kafka, Membership, Share};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use record::{Offset, Partition};

use crate::harness::{Broker, PATIENCE, append_one, unique, within};

const PARTITIONS: u32 = 4;

/// A member and what it has, as it was told.
pub(crate) struct One {
    member: Box<dyn Membership>,
    pub(crate) has: BTreeSet<Share>,
    lost: usize,
    revoked: usize,
}

impl One {
    pub(crate) async fn join(log: &Kafka, topic: &str) -> Self {
        let member = log.join(&[topic]).await.unwrap();
        Self { member, has: BTreeSet::new(), lost: 0, revoked: 0 }
    }

    /// Takes the next change, and releases at once what is revoked.
    pub(crate) async fn step(&mut self) {
        match self.member.next().await.unwrap() {
            Change::Assigned(shares) => {
                for share in shares {
                    assert!(self.has.insert(share), "assigned twice");
                }
            }
            Change::Revoked(shares) => {
                self.revoked += shares.len();
                self.give(&shares);
                self.member.release(&shares);
            }
            Change::Lost(shares) => {
                self.lost += shares.len();
                self.give(&shares);
            }
        }
    }

    fn give(&mut self, shares: &[Share]) {
        for share in shares {
            assert!(self.has.remove(share), "{share:?} was not ours");
        }
    }
}

/// Steps of both until it is so.
pub(crate) async fn until(a: &mut One, b: &mut One, so: impl Fn(&One, &One) -> bool) {
    within("the group", async {
        while !so(a, b) {
            tokio::select! {
                () = a.step() => {}
                () = b.step() => {}
            }
        }
    })
    .await;
}

fn all(topic: &str) -> BTreeSet<Share> {
    let share = |partition| Share { topic: topic.into(), partition: Partition(partition) };
    (0..PARTITIONS).map(share).collect()
}

/// Short sessions: a test waits for them to end.
pub(crate) fn settings(broker: &Broker) -> Settings {
    Settings { session_timeout_ms: 2_000, poll_interval_ms_max: 4_000, ..broker.settings() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn two_members_share_and_the_one_that_stays_has_all() {
    let broker = Broker::shared();
    let topic = unique("shared");
    let logs = [(); 2].map(|()| Kafka::open(settings(&broker)).unwrap());
    logs[0].create(&topic, PARTITIONS).await.unwrap();
    let mut first = One::join(&logs[0], &topic).await;
    within("all of them", async {
        while first.has != all(&topic) {
            first.step().await;
        }
    })
    .await;
    let mut second = One::join(&logs[1], &topic).await;
    until(&mut first, &mut second, |a, b| a.has.len() == 2 && b.has.len() == 2).await;
    assert_eq!(&first.has | &second.has, all(&topic), "each partition has one member");
    assert_eq!((first.revoked, first.lost, second.lost), (2, 0, 0), "no more than had to");

    // It leaves, so nobody waits for its session to end.
    let left = tokio::time::Instant::now();
    first.member.leave().await;
    within("the other's", async {
        while second.has != all(&topic) {
            second.step().await;
        }
    })
    .await;
    assert!(left.elapsed() < Duration::from_millis(1_900), "{:?}", left.elapsed());
    assert_eq!((second.revoked, second.lost), (0, 0));
    second.member.leave().await;
}

/// What is revoked stays with its member until it is released, however long that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn nobody_gets_what_is_not_released() {
    let broker = Broker::shared();
    let topic = unique("held");
    let logs = [(); 2].map(|()| Kafka::open(settings(&broker)).unwrap());
    logs[0].create(&topic, PARTITIONS).await.unwrap();
    let mut first = One::join(&logs[0], &topic).await;
    within("all of them", async {
        while first.has != all(&topic) {
            first.step().await;
        }
    })
    .await;
    let mut second = One::join(&logs[1], &topic).await;
    let revoked = within("the revocation", async {
        loop {
            tokio::select! {
                change = first.member.next() => match change.unwrap() {
                    Change::Revoked(shares) => return shares,
                    Change::Assigned(none) => assert_eq!(none, []),
                    Change::Lost(shares) => panic!("{shares:?}"),
                },
                () = second.step() => assert_eq!(second.has, BTreeSet::new()),
            }
        }
    })
    .await;
    // Longer than session and poll interval: the member is slow, not silent.
    let early = tokio::time::timeout(Duration::from_secs(6), async {
        loop {
            second.step().await;
            assert_eq!(second.has, BTreeSet::new());
        }
    });
    assert!(early.await.is_err());
    first.give(&revoked);
    // One by one: the group is answered when the last one is.
    for share in &revoked {
        first.member.release(std::slice::from_ref(share));
    }
    until(&mut first, &mut second, |_, b| b.has.len() == 2).await;
    assert_eq!(&first.has | &second.has, all(&topic));
    assert_eq!(first.lost, 0);
}

/// A broker that hears nothing of a member for longer than its session, as when the member's process is
/// stopped: its partitions are lost, not revoked, and come back when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_member_that_is_not_heard_loses_its_partitions() {
    let broker = Broker::own();
    let (log, topic) = (Kafka::open(settings(&broker)).unwrap(), unique("silent"));
    log.create(&topic, PARTITIONS).await.unwrap();
    let mut member = One::join(&log, &topic).await;
    within("all of them", async {
        while member.has != all(&topic) {
            member.step().await;
        }
    })
    .await;
    broker.server().pause();
    within("the loss", async {
        while !member.has.is_empty() {
            member.step().await;
        }
    })
    .await;
    assert_eq!((member.lost, member.revoked), (PARTITIONS as usize, 0));
    broker.server().resume();
    within("the return", async {
        while member.has != all(&topic) {
            member.step().await;
        }
    })
    .await;
    member.member.leave().await;
}

/// The error says what the brokers have against it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_group_that_takes_nobody_in_is_an_error() {
    let broker = Broker::own();
    // The broker takes sessions of 1 s at least.
    let hasty = Settings {
        session_timeout_ms: 500,
        poll_interval_ms_max: 500,
        request_timeout_ms: 1_000,
        ..broker.settings()
    };
    let (log, topic) = (Kafka::open(hasty).unwrap(), unique("refused"));
    log.create(&topic, 1).await.unwrap();
    let mut member = log.join(&[&topic]).await.unwrap();
    let error = within("the refusal", member.next()).await.unwrap_err().to_string();
    for named in ["twofold-updater", "InvalidSessionTimeout"] {
        assert!(error.contains(named), "{named}: {error}");
    }
}

/// A hint is what whoever watches the group's lag sees.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn hints_are_the_groups_offsets() {
    let broker = Broker::shared();
    let of_group = Settings { group: unique("lag"), ..settings(&broker) };
    let (log, topic) = (Kafka::open(of_group.clone()).unwrap(), unique("lagging"));
    log.create(&topic, 1).await.unwrap();
    for _ in 0..3 {
        append_one(&log, &topic, "x").await;
    }
    let watched = |config: &rdkafka::ClientConfig| -> Option<i64> {
        let consumer: BaseConsumer =
            config.clone().set("group.id", &of_group.group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        let found = consumer.committed_offsets(list, PATIENCE).unwrap();
        found.find_partition(&topic, 0).unwrap().offset().to_raw().filter(|raw| *raw >= 0)
    };
    let share = Share { topic: topic.as_str().into(), partition: Partition(0) };
    let mut member = One::join(&log, &topic).await;
    within("the partition", async {
        while member.has.is_empty() {
            member.step().await;
        }
    })
    .await;
    member.member.hint(&[(share.clone(), Offset(2))]);
    let config = broker.config();
    within("the hint", async {
        while watched(&config) != Some(2) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // The last one is there when the member has left.
    member.member.hint(&[(share, Offset(3))]);
    member.member.leave().await;
    assert_eq!(watched(&config), Some(3));
}
