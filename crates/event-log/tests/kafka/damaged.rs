//! Bytes that changed on a broker's disk.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Error, EventLog, Kafka};
use record::{Offset, Partition};

use crate::harness::{append_one, unique, within};

/// The bytes of a value in a file, turned into others.
fn flip(path: &std::path::Path, value: &str) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(value.len()).position(|found| found == value.as_bytes()).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

/// librdkafka goes on behind a batch that its checksum denies; whoever folded what it gives then would have lost
/// what was in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_damaged_batch_is_told_as_often_as_it_is_asked_for_and_never_passed_over() {
    let libs = servers::kafka_libs().expect("SERVERS_KAFKA_LIBS, as tests/servers/fetch says it");
    let server = servers::Kafka::start(&libs);
    let settings = Settings { stall_timeout_ms: 5_000, ..Settings::new(server.bootstrap()) };
    let log = Kafka::open(settings).unwrap();
    let topic = unique("damaged");
    log.create(&topic, 1).await.unwrap();
    for value in ["first", "second", "third", "fourth"] {
        append_one(&log, &topic, value).await;
    }
    flip(&server.segment(&topic, 0), "second");
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    let mut read = Vec::new();
    let told = within("the damage", async {
        loop {
            match reader.next(10, Duration::from_secs(1)).await {
                Ok(records) => read.extend(records),
                Err(error) => return error,
            }
        }
    });
    let told = told.await;
    assert!(matches!(told, Error::Damaged { .. }), "{told:?}");
    assert!(told.to_string().contains(&topic), "{told}");
    let values: Vec<_> = read.iter().map(|record| record.value.as_slice()).collect();
    assert_eq!(values, [b"first"], "what stands before it is given");
    assert_eq!(reader.position(), Offset(1));
    for _ in 0..20 {
        let again = reader.next(10, Duration::from_millis(100)).await.unwrap_err();
        assert!(matches!(again, Error::Damaged { .. }), "{again:?}");
    }
}
