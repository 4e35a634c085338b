//! What benchmarks ask of the adapter beside the port.

use event_log::{Error, EventLog};

use crate::harness::{Broker, record, unique, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_bare_consumer_reads_all_and_a_deleted_topic_is_gone() {
    let broker = Broker::shared();
    let (log, topic) = (broker.log(), unique("raw"));
    log.create(&topic, 3).await.unwrap();
    let empty = within("an empty topic", log.read_raw(&topic)).await.unwrap();
    assert_eq!((empty.records, empty.bytes), (0, 0));
    let records: Vec<_> = (0..1000).map(|n| record(&format!("key-{n:03}"), "value")).collect();
    let bytes = records.iter().map(|record| record.key.len() + record.value.len()).sum::<usize>();
    assert!(log.append(&topic, records).await.unwrap().iter().all(Result::is_ok));
    let read = within("all records", log.read_raw(&topic)).await.unwrap();
    assert_eq!((read.records, read.bytes), (1000, bytes as u64));
    assert!(!read.took.is_zero());

    log.delete(&topic).await.unwrap();
    within("the deletion", async {
        while !matches!(broker.log().topic(&topic).await, Err(Error::NoTopic { .. })) {}
    })
    .await;
    log.delete(&topic).await.unwrap();
    // The log that deleted it may have one of that name again.
    within("the same name", async { while log.create(&topic, 2).await.is_err() {} }).await;
    assert_eq!(log.topic(&topic).await.unwrap().partitions, 2);
}
