//! Offsets that hold no record: what other programs' transactions leave behind.

use event_log::EventLog;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use record::{Offset, Partition};

use crate::harness::{Broker, PATIENCE, append_one, read_to_end, read_until, unique, within};

fn producer(broker: &Broker) -> BaseProducer {
    let mut config = broker.config();
    let producer: BaseProducer = config.set("transactional.id", unique("tx")).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, values: &[&str]) {
    producer.begin_transaction().unwrap();
    for value in values {
        let record = BaseRecord::to(topic).partition(0).key("key").payload(*value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

/// Aborted records are not handed out, open ones are not even within the bounds, and a reader gets
/// to the end although the last offsets hold no record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn only_committed_records_are_in_the_log() {
    let broker = Broker::shared();
    let (log, topic) = (broker.log(), unique("transactions"));
    log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "plain").await; // 0
    let producer = producer(&broker);
    send(&producer, &topic, &["committed"]); // 1, mark 2
    producer.commit_transaction(PATIENCE).unwrap();
    send(&producer, &topic, &["aborted 1", "aborted 2"]); // 3, 4, mark 5
    producer.abort_transaction(PATIENCE).unwrap();
    // Brokers write the marks a little after they have answered.
    within("the mark", async { while log.bounds(&topic).await.unwrap()[0].next != Offset(6) {} })
        .await;
    let values = |records: Vec<record::Record>| {
        let value = |r: record::Record| (r.offset.0, String::from_utf8(r.value).unwrap());
        records.into_iter().map(value).collect::<Vec<_>>()
    };
    let expected = vec![(0, "plain".to_owned()), (1, "committed".to_owned())];
    assert_eq!(values(read_to_end(&log, &topic, Partition(0)).await), expected);
    // Nothing but marks behind it: the position gets past them all the same.
    for from in 2..=6 {
        let mut reader = log.reader(&topic, Partition(0), Offset(from)).await.unwrap();
        assert_eq!(values(read_until(&mut *reader, Offset(6)).await), []);
        assert_eq!(reader.position(), Offset(6));
    }
    // An open transaction holds the end back, for others' records too.
    send(&producer, &topic, &["open"]); // 6, mark 7
    append_one(&log, &topic, "behind it").await;
    assert_eq!(log.bounds(&topic).await.unwrap()[0].next, Offset(6));
    producer.commit_transaction(PATIENCE).unwrap();
    let end = Offset(9);
    let mut reader = log.reader(&topic, Partition(0), Offset(6)).await.unwrap();
    let found = values(read_until(&mut *reader, end).await);
    assert_eq!(found, [(6, "open".to_owned()), (7, "behind it".to_owned())]);
    assert_eq!(log.bounds(&topic).await.unwrap()[0].next, end);
}
