//! A broker that its controller keeps out of the cluster (fences) again and again: it answers, and what it
//! answers names no broker.

use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{EventLog, Kafka, Reader};
use record::Offset;

use crate::groups::{self, One, until};
use crate::harness::{Broker, answered, record, unique};

const PARTITIONS: u32 = 4;
/// Times that the broker is kept out.
const FENCES: usize = 10;

/// Every client at work on the topic: one appends, one is asked, one reads.
async fn work(log: &Kafka, topic: &str, reader: &mut dyn Reader, value: &str) {
    answered("the topic", async || log.topic(topic).await).await;
    let appended = answered("an append", async || {
        let outcomes = log.append(topic, vec![record("key", value)]).await?;
        outcomes.into_iter().next().unwrap()
    })
    .await;
    let partition = appended.partition.0 as usize;
    let bounds = answered("the bounds", async || log.bounds(topic).await).await;
    assert!(bounds[partition].next > appended.offset);
    answered("the record", async || {
        while reader.position() <= appended.offset {
            reader.next(1_000, Duration::from_millis(200)).await?;
        }
        Ok(())
    })
    .await;
}

/// Clients that know one broker lose it when its answers do not name it any more, and have to find it again:
/// those that append, ask and read, and the member of a group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_broker_that_is_kept_out_for_a_moment_is_found_again() {
    let broker = Broker::unsteady();
    // The group may be away for several times as long as a member's session lasts.
    let mut settings = Settings {
        request_timeout_ms: 2_000,
        poll_interval_ms_max: 30_000,
        ..groups::settings(&broker)
    };
    // So every client looks while no broker is named.
    let often = ("topic.metadata.refresh.interval.ms".to_owned(), "100".to_owned());
    settings.properties.extend([often]);
    let (log, topic) = (Kafka::open(settings.clone()).unwrap(), unique("fenced"));
    answered("a topic", async || log.create(&topic, PARTITIONS).await).await;
    let partition = record::partition_for_key(b"key", PARTITIONS);
    let mut reader =
        answered("a reader", async || log.reader(&topic, partition, Offset(0)).await).await;
    let mut first = One::join(&log, &topic).await;

    let fences = async {
        for nth in 0..FENCES {
            broker.until_let_in_again().await;
            work(&log, &topic, &mut *reader, &nth.to_string()).await;
        }
    };
    tokio::select! {
        () = fences => {}
        () = async { loop { first.step().await } } => unreachable!("it steps for ever"),
    }

    tokio::task::block_in_place(|| broker.server().restart_steady());
    work(&log, &topic, &mut *reader, "steady").await;
    // Only a member that is in the group gives a newcomer no more than half.
    let other = Kafka::open(settings).unwrap();
    let mut second = One::join(&other, &topic).await;
    until(&mut first, &mut second, |a, b| a.has.len() == 2 && b.has.len() == 2).await;
}
