//! What the embedded log does at its own limits: a full queue, a topic that goes away, a full disk.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use embedded::{Options, SyncMode};
use event_log::{Error, EventLog, NewRecord, RECORD_BYTES_MAX};
use record::{Offset, Partition};

use crate::harness::{Directory, open, settings};

fn record(bytes: usize) -> NewRecord {
    NewRecord { key: b"k".to_vec(), value: vec![7; bytes - 1], trace: None }
}

/// More than the queue holds: appenders wait for room, and all get through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appenders_wait_for_room_in_the_queue() {
    const APPENDERS: usize = 160;
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sync: SyncMode::Never, ..Options::default() };
    let log = Arc::new(open(directory.path(), options));
    log.create("t", 1).await.unwrap();
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append("t", vec![record(RECORD_BYTES_MAX)]).await })
        })
        .collect();
    for appender in appenders {
        appender.await.unwrap().unwrap().remove(0).unwrap();
    }
    assert_eq!(log.bounds("t").await.unwrap()[0].next, Offset(APPENDERS as u64));
    // A call's answer is bounded in bytes as well, though more was asked for.
    let mut reader = log.reader("t", Partition(0), Offset(0)).await.unwrap();
    let found = reader.next(APPENDERS, Duration::ZERO).await.unwrap();
    assert!((1..=5).contains(&found.len()), "{} records of 1 MiB", found.len());
}

/// One append is several blocks, and a reader may begin anywhere in one and stop anywhere in another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_begin_and_stop_in_the_middle_of_blocks() {
    const RECORDS: u64 = 300;
    let directory = Directory::new();
    let value = |i: u64| vec![i as u8; 700];
    {
        let log = directory.open();
        log.create("t", 1).await.unwrap();
        let records =
            (0..RECORDS).map(|i| NewRecord { key: b"k".to_vec(), value: value(i), trace: None });
        for appended in log.append("t", records.collect()).await.unwrap() {
            appended.unwrap();
        }
    }
    // 210 KB are four blocks; the second time they are read from where an opening left them.
    let log = directory.open();
    assert_eq!(log.bounds("t").await.unwrap()[0].next, Offset(RECORDS));
    for (from, records_max) in (0..RECORDS).step_by(23).flat_map(|from| [(from, 7), (from, 5000)]) {
        let mut reader = log.reader("t", Partition(0), Offset(from)).await.unwrap();
        let mut next = from;
        while next < RECORDS {
            let found = reader.next(records_max, Duration::ZERO).await.unwrap();
            assert!(!found.is_empty() && found.len() <= records_max, "from {from}, at {next}");
            for record in found {
                assert_eq!((record.offset, record.value), (Offset(next), value(next)));
                next += 1;
            }
            assert_eq!(reader.position(), Offset(next));
        }
    }
}

/// A reader that waits is told when its topic is deleted, and so is an appender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_wakes_its_readers() {
    let directory = Directory::new();
    let log = directory.open();
    log.create("t", 1).await.unwrap();
    let mut reader = log.reader("t", Partition(0), Offset(0)).await.unwrap();
    let waiting = tokio::spawn(async move { reader.next(1, Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    log.delete("t").await.unwrap();
    let woken = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    let told = woken.expect("woken by the deletion").unwrap();
    assert!(matches!(told, Err(Error::NoTopic { .. })), "{told:?}");
    let appended = log.append("t", vec![record(1)]).await;
    assert!(matches!(appended, Err(Error::NoTopic { .. })), "{appended:?}");
}

/// Two logs on one database would count the same offsets twice.
#[tokio::test]
async fn a_second_log_on_one_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = embedded::Database::open(directory.path()).unwrap();
    let log = event_log::Embedded::open(&database, settings()).unwrap();
    let second = event_log::Embedded::open(&database, settings()).err().expect("it is open");
    assert!(matches!(second, Error::Embedded(embedded::Error::Taken { .. })), "{second}");
    drop(log);
    event_log::Embedded::open(&database, settings()).unwrap();
}

const DIRECTORY: &str = "TWOFOLD_TEST_DIRECTORY";

/// Appends until the disk is full, and prints what became of each record.
#[test]
#[ignore = "the process that the test below starts with a limit on the size of files"]
fn full_disk_child() {
    #[expect(clippy::disallowed_methods, reason = "how the test below speaks to its child")]
    let directory = std::env::var(DIRECTORY).unwrap();
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = open(directory.as_ref(), Options::default());
        let mut reader = log.reader("t", Partition(0), Offset(0)).await.unwrap();
        let mut failures = 0;
        for i in 0..200u32 {
            // No compression makes this smaller.
            let noise = (0..40_000u32).map(|j| (i * 40_000 + j).wrapping_mul(2_654_435_761));
            let value = noise.flat_map(u32::to_be_bytes).collect();
            let record = NewRecord { key: Vec::new(), value, trace: None };
            match log.append("t", vec![record]).await.unwrap().remove(0) {
                Ok(appended) => println!("ack {}", appended.offset),
                Err(error) => {
                    println!("refused {error}");
                    failures += 1;
                }
            }
            if failures == 3 {
                break;
            }
        }
        let mut read = 0;
        loop {
            let found = reader.next(100, Duration::ZERO).await.unwrap();
            if found.is_empty() {
                break;
            }
            read += found.len();
        }
        println!("read {read}");
    });
}

/// A limit on the size of files stands for a full disk. Appends fail with the remedy, no reader sees
/// what was refused, and what was acknowledged is there when there is room again.
#[test]
fn a_full_disk_refuses_appends_and_keeps_what_it_acknowledged() {
    const LIMIT_BLOCKS: u32 = 4096;
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Opened twice: the second opening cuts the journal down to what was written.
    runtime.block_on(async {
        open(directory.path(), Options::default()).create("t", 1).await.unwrap();
        drop(open(directory.path(), Options::default()));
    });
    let binary = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; \
             exec '{}' --ignored --exact limits::full_disk_child --nocapture",
            binary.display()
        ))
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let acknowledged = said.lines().filter(|line| line.starts_with("ack ")).count();
    let refused: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("refused ")).collect();
    assert!(acknowledged > 0, "{said}");
    assert_eq!(refused.len(), 3, "every append after the first that failed: {said}");
    assert!(refused.iter().all(|error| error.contains("start again")), "{refused:?}");
    assert!(said.lines().any(|line| line == format!("read {acknowledged}")), "{said}");
    let log = open(directory.path(), Options::default());
    let next = runtime.block_on(log.bounds("t")).unwrap()[0].next;
    assert!(next.0 >= acknowledged as u64, "{next} of {acknowledged}");
}
