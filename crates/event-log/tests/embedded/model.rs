//! Random operations, reopening included, against a log made of vectors.

use std::collections::BTreeMap;
use std::time::Duration;

use event_log::{EventLog, NewRecord, RECORD_BYTES_MAX};
use proptest::prelude::*;
use record::{AppendTime, Offset, Partition, Record, partition_for_key};

use crate::harness::Directory;

const TOPICS: [(&str, u32); 3] = [("one", 1), ("three", 3), ("four", 4)];

#[derive(Debug, Clone)]
enum Operation {
    Append { topic: usize, records: Vec<(Vec<u8>, Vec<u8>)> },
    Read { topic: usize, partition: u32, from: u64, records_max: usize },
    Bounds { topic: usize },
    Delete { topic: usize },
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
    let value = prop_oneof![
        20 => bytes(40).boxed(),
        1 => Just(vec![1; RECORD_BYTES_MAX + 1]).boxed(),
        1 => Just(vec![2; 100_000]).boxed(),
    ];
    let records = prop::collection::vec((bytes(4), value), 0..20);
    let topic = 0..TOPICS.len();
    prop_oneof![
        8 => (topic.clone(), records)
            .prop_map(|(topic, records)| Operation::Append { topic, records }),
        8 => (topic.clone(), 0u32..5, 0u64..60, 0usize..30).prop_map(
            |(topic, partition, from, records_max)| Operation::Read {
                topic, partition, from, records_max,
            }
        ),
        2 => topic.clone().prop_map(|topic| Operation::Bounds { topic }),
        1 => topic.prop_map(|topic| Operation::Delete { topic }),
        2 => Just(Operation::Reopen),
    ]
}

/// Partition → records.
type Model = Vec<Vec<Record>>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_vector_per_partition(operations in prop::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(operations));
    }
}

async fn check(operations: Vec<Operation>) {
    let directory = Directory::new();
    let mut log = directory.open();
    let mut model = BTreeMap::<usize, Model>::new();
    for operation in operations {
        match operation {
            Operation::Append { topic, records } => {
                let (name, partitions) = TOPICS[topic];
                log.create(name, partitions).await.unwrap();
                let model =
                    model.entry(topic).or_insert_with(|| vec![Vec::new(); partitions as usize]);
                append(&log, name, model, records).await;
            }
            Operation::Read { topic, partition, from, records_max } => {
                let Some(model) = model.get(&topic) else {
                    assert!(log.topic(TOPICS[topic].0).await.is_err());
                    continue;
                };
                read(&log, TOPICS[topic].0, model, partition, from, records_max).await;
            }
            Operation::Bounds { topic } => {
                let found = log.bounds(TOPICS[topic].0).await.ok();
                let nexts = found.map(|all| all.iter().map(|one| one.next.0).collect::<Vec<_>>());
                let expected = model
                    .get(&topic)
                    .map(|model| model.iter().map(|records| records.len() as u64).collect());
                assert_eq!(nexts, expected);
            }
            Operation::Delete { topic } => {
                let deleted = log.delete(TOPICS[topic].0).await;
                assert_eq!(deleted.is_ok(), model.remove(&topic).is_some());
            }
            Operation::Reopen => {
                drop(log);
                log = directory.open();
            }
        }
    }
}

async fn append(
    log: &impl EventLog,
    name: &str,
    model: &mut Model,
    records: Vec<(Vec<u8>, Vec<u8>)>,
) {
    let new =
        records.iter().cloned().map(|(key, value)| NewRecord { key, value, trace: None }).collect();
    let outcomes = log.append(name, new).await.unwrap();
    assert_eq!(outcomes.len(), records.len());
    for ((key, value), outcome) in records.into_iter().zip(outcomes) {
        if key.len() + value.len() > RECORD_BYTES_MAX {
            assert!(outcome.is_err());
            continue;
        }
        let outcome = outcome.unwrap();
        let partition = partition_for_key(&key, model.len() as u32);
        let records = &mut model[partition.0 as usize];
        let offset = Offset(records.len() as u64);
        assert_eq!((outcome.partition, outcome.offset), (partition, offset));
        let last = records.last().map_or(AppendTime(i64::MIN), |record| record.append_time);
        assert!(outcome.append_time >= last);
        records.push(Record {
            partition,
            offset,
            append_time: outcome.append_time,
            key,
            value,
            trace: None,
        });
    }
}

async fn read(
    log: &impl EventLog,
    name: &str,
    model: &Model,
    partition: u32,
    from: u64,
    records_max: usize,
) {
    let reader = log.reader(name, Partition(partition), Offset(from)).await;
    let Some(records) = model.get(partition as usize) else {
        assert!(reader.is_err(), "there is no such partition");
        return;
    };
    let Some(expected) = records.get(from as usize..) else {
        assert!(reader.is_err(), "the position is beyond the end");
        return;
    };
    let mut reader = reader.unwrap();
    let found = reader.next(records_max, Duration::ZERO).await.unwrap();
    assert_eq!(found.is_empty(), expected.is_empty() || records_max == 0);
    assert!(found.len() <= records_max);
    assert_eq!(found, expected[..found.len()]);
    assert_eq!(reader.position(), Offset(from + found.len() as u64));
}
