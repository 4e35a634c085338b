//! How fast the Kafka adapter appends and reads, beside Kafka's own tools on the same broker: one line
//! each in records per second.
//!
//! `eval "$(tests/servers/fetch DIR)"; cargo run --release -p event-log --example kafka_speed [RECORDS]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures, for people"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::kafka::Settings;
use event_log::{EventLog, Kafka, NewRecord};
use record::Partition;

const PARTITIONS: u32 = 4;
const BATCH: usize = 500;
const APPENDERS: usize = 8;
const KEY_BYTES: usize = 16;
const RECORD_BYTES: usize = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let records = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let libs = servers::kafka_libs().expect("SERVERS_KAFKA_LIBS: tests/servers/fetch says it");
    let server = servers::Kafka::start(&libs);
    let log = Arc::new(Kafka::open(Settings::new(server.bootstrap())).unwrap());
    for topic in ["warm", "ours", "theirs"] {
        log.create(topic, PARTITIONS).await.unwrap();
    }
    append(&log, "warm", records / 10).await;
    for round in 1..=2 {
        let ours = append(&log, "ours", records).await;
        let theirs = produce(&server, records);
        say(round, "append", ours, theirs);
    }
    for round in 1..=3 {
        let ours = read(&log, "ours").await;
        let theirs = consume(&server, "ours", records * 2);
        say(round, "read", ours, theirs);
    }
    one_at_a_time(&log).await;
}

fn say(round: u32, what: &str, ours: f64, theirs: f64) {
    println!("{round} {what}: {ours:.0}/s, Kafka's own {theirs:.0}/s, {:.2} of it", ours / theirs);
}

async fn append(log: &Arc<Kafka>, topic: &'static str, records: usize) -> f64 {
    let before = Instant::now();
    let appenders: Vec<_> = (0..APPENDERS)
        .map(|appender| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                for batch in 0..records / APPENDERS / BATCH {
                    let new = |i| NewRecord {
                        key: format!("{:016}", (appender * 7919 + batch * 31 + i) % 100_000).into(),
                        value: vec![b'x'; RECORD_BYTES - KEY_BYTES],
                        trace: None,
                    };
                    let outcomes = log.append(topic, (0..BATCH).map(new).collect()).await.unwrap();
                    assert!(outcomes.iter().all(Result::is_ok));
                }
            })
        })
        .collect();
    for appender in appenders {
        appender.await.unwrap();
    }
    (records / APPENDERS / BATCH * APPENDERS * BATCH) as f64 / before.elapsed().as_secs_f64()
}

async fn read(log: &Arc<Kafka>, topic: &'static str) -> f64 {
    let bounds = log.bounds(topic).await.unwrap();
    let before = Instant::now();
    let readers: Vec<_> = bounds
        .into_iter()
        .zip(0..)
        .map(|(bounds, partition)| {
            let log = Arc::clone(log);
            tokio::spawn(async move {
                let mut reader =
                    log.reader(topic, Partition(partition), bounds.first).await.unwrap();
                let mut count = 0;
                while reader.position() < bounds.next {
                    count += reader.next(8_192, Duration::from_secs(1)).await.unwrap().len();
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for reader in readers {
        count += reader.await.unwrap();
    }
    count as f64 / before.elapsed().as_secs_f64()
}

/// How long one record takes to be durable, and then to be read.
async fn one_at_a_time(log: &Arc<Kafka>) {
    log.create("single", 1).await.unwrap();
    let mut reader = log.reader("single", Partition(0), record::Offset(0)).await.unwrap();
    let (mut appends, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        let before = Instant::now();
        let record = NewRecord { key: vec![b'k'], value: vec![b'x'; RECORD_BYTES], trace: None };
        log.append("single", vec![record]).await.unwrap();
        appends.push(before.elapsed());
        while reader.next(10, Duration::from_secs(1)).await.unwrap().is_empty() {}
        reads.push(before.elapsed());
    }
    for (what, mut times) in [("appended", appends), ("read", reads)] {
        times.sort();
        println!("one record {what} after: p50 {:?}, p99 {:?}", times[250], times[495]);
    }
}

fn produce(server: &servers::Kafka, records: usize) -> f64 {
    let said = run(server
        .tool("org.apache.kafka.tools.ProducerPerformance")
        .args(["--topic", "theirs", "--throughput", "-1"])
        .args(["--num-records", &records.to_string()])
        .args(["--record-size", &RECORD_BYTES.to_string()])
        .arg("--producer-props")
        .arg(format!("bootstrap.servers={}", server.bootstrap()))
        .arg("acks=all"));
    // The last line has the whole: "N records sent, X records/sec (…"
    let rate = said.lines().last().unwrap().split(", ").nth(1).unwrap();
    rate.split(' ').next().unwrap().parse().unwrap()
}

fn consume(server: &servers::Kafka, topic: &str, records: usize) -> f64 {
    let said = run(server
        .tool("org.apache.kafka.tools.ConsumerPerformance")
        .args(["--bootstrap-server", &server.bootstrap(), "--topic", topic])
        .args(["--messages", &records.to_string()]));
    // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s
    let line = said.lines().last().unwrap();
    line.split(", ").nth(9).unwrap_or_else(|| panic!("{said}")).parse().unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.trim_end().to_owned()
}
