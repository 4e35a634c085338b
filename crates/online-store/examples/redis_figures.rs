//! What the Redis adapter does on this machine, in figures: commits beside `redis-benchmark` with equal
//! payloads, reads, memory per million visitors.
//!
//! ```sh
//! eval "$(tests/servers/fetch FOLDER)"
//! cargo run --release -p online-store --example redis_figures
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool beside the tests")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use online_store::{Commit, OnlineStore, Outcome, OwnerToken, Redis, RedisSettings, StoredHead};
use record::{LaneId, Offset, Partition};
use servers::{Fsync, Redis as Server};
use tokio::time::Instant;

const OWNER: OwnerToken = OwnerToken([7; 16]);
const PARTITIONS: u32 = 4;
const STATE_BYTES: usize = 200;
const BATCH: u64 = 1_000;
const COMMITS: u64 = 300;
const VISITORS: u64 = 100_000;
const SETS: u32 = 1_000_000;
const READS: usize = 20_000;

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[tokio::main]
async fn main() {
    let server = std::env::var_os("SERVERS_REDIS_SERVER").expect("see tests/servers/fetch");
    let server = Path::new(&server);
    for run in 1..=3 {
        println!("run {run}");
        throughput(server).await;
    }
    reads(server).await;
    for dimension in [0, 32, 64] {
        memory(server, dimension).await;
    }
}

async fn open(redis: &Server) -> Redis {
    Redis::open(RedisSettings::from_url(&redis.url()).unwrap()).await.unwrap()
}

/// A generator that is good enough for bytes that do not compress.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn bytes(seed: &mut u64, length: usize) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|_| random(seed).to_le_bytes()).take(length).collect()
}

/// A visitor's key, as the fold makes it.
fn key(visitor: u64) -> Vec<u8> {
    format!("\0v{visitor:011}").into_bytes()
}

fn commit(partition: u32, next: u64, states: Changes, derived: Changes) -> Commit {
    Commit {
        lane: LaneId(*b"figures!"),
        partition: Partition(partition),
        owner: OWNER,
        expected: (next > 1).then(|| Offset(next - 1)),
        head: StoredHead { next: Offset(next), bytes: vec![1; 100] },
        states,
        derived,
    }
}

async fn claim(store: &Redis) {
    for partition in 0..PARTITIONS {
        store.claim(LaneId(*b"figures!"), Partition(partition), OWNER).await.unwrap();
    }
}

/// Seconds of processor time of the server, and of this process.
fn used(redis: &Server) -> (f64, f64) {
    let info = redis.ask("INFO cpu").unwrap();
    let server = ["used_cpu_sys:", "used_cpu_user:"].map(|name| number(&info, name)).iter().sum();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let times = stat.split_whitespace().skip(13).take(2);
    (server, times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}

fn number(info: &str, name: &str) -> f64 {
    info.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
}

/// Commits of 1,000 states, four partitions side by side; then SETs of as many bytes.
async fn throughput(server: &Path) {
    let redis = Server::start(server, Fsync::EverySecond);
    let store = open(&redis).await;
    claim(&store).await;
    let (before, start) = (used(&redis), Instant::now());
    let tasks: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut seed = u64::from(partition) + 1;
                let value = bytes(&mut seed, STATE_BYTES);
                for next in 1..=COMMITS {
                    let visitor = |seed: &mut u64| key(random(seed) % VISITORS);
                    let states =
                        (0..BATCH).map(|_| (visitor(&mut seed), Some(value.clone()))).collect();
                    let outcome = store.commit(&commit(partition, next, states, Vec::new())).await;
                    assert_eq!(outcome.unwrap(), Outcome::Committed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), used(&redis));
    let commits = (COMMITS * u64::from(PARTITIONS)) as f64;
    let states = commits * BATCH as f64 / seconds;
    let per_core = commits * BATCH as f64 / (after.0 - before.0);
    println!(
        "  commits: {:.0}/s of {BATCH} states of {STATE_BYTES} bytes = {states:.0} states/s; of one \
         core Redis used {:.0} %, this process {:.0} %",
        commits / seconds,
        100.0 * (after.0 - before.0) / seconds,
        100.0 * (after.1 - before.1) / seconds,
    );
    let raw = Server::start(server, Fsync::EverySecond);
    for pipeline in ["16", "100"] {
        let before = used(&raw).0;
        let sets = benchmark(server, &raw, pipeline);
        let sets_per_core = f64::from(SETS) / (used(&raw).0 - before);
        println!(
            "  redis-benchmark -P {pipeline}: {sets:.0} SET/s of {STATE_BYTES} bytes; states/SETs = \
             {:.2}, per second of Redis' processor time {per_core:.0}/{sets_per_core:.0} = {:.2}",
            states / sets,
            per_core / sets_per_core,
        );
    }
}

fn benchmark(server: &Path, redis: &Server, pipeline: &str) -> f64 {
    let mut command = Command::new(server.with_file_name("redis-benchmark"));
    command.args([
        "-p",
        &redis.port().to_string(),
        "-t",
        "set",
        "-c",
        "4",
        "-n",
        "1000000",
        "--csv",
    ]);
    command.args(["-d", &STATE_BYTES.to_string(), "-r", &VISITORS.to_string(), "-P", pipeline]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("\"SET\"")).expect("a line of SET");
    line.split(',').nth(1).unwrap().trim_matches('"').parse().unwrap()
}

/// Latency of reads of three keys: one at a time, and beside commits.
async fn reads(server: &Path) {
    let redis = Server::start(server, Fsync::EverySecond);
    let store = open(&redis).await;
    fill(&store, 32).await;
    latency(&store, "alone").await;
    let going = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (writer, goes) = (store.clone(), Arc::clone(&going));
    let at = VISITORS / u64::from(PARTITIONS) / BATCH;
    let commits = tokio::spawn(async move {
        let mut seed = 9;
        let value = bytes(&mut seed, STATE_BYTES);
        for next in at + 1.. {
            if !goes.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let states =
                (0..BATCH).map(|_| (key(random(&mut seed) % VISITORS), Some(value.clone())));
            writer.commit(&commit(0, next, states.collect(), Vec::new())).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    latency(&store, "beside commits of 1,000 states each 5 ms").await;
    going.store(false, std::sync::atomic::Ordering::Relaxed);
    commits.await.unwrap();
}

async fn latency(store: &Redis, what: &str) {
    let mut seed = 3;
    let mut micros = Vec::with_capacity(READS);
    for _ in 0..READS {
        let partition = Partition((random(&mut seed) % u64::from(PARTITIONS)) as u32);
        let keys: Vec<_> = (0..3).map(|_| key(random(&mut seed) % VISITORS)).collect();
        let start = Instant::now();
        store.read(LaneId(*b"figures!"), partition, &keys).await.unwrap();
        micros.push(start.elapsed().as_micros());
    }
    micros.sort_unstable();
    let at = |share: f64| micros[(READS as f64 * share) as usize];
    println!("reads of 3 keys, {what}: p50 {} µs, p99 {} µs", at(0.5), at(0.99));
}

/// States of 180 to 220 bytes, and a vector for each.
async fn fill(store: &Redis, dimension: usize) {
    claim(store).await;
    let mut seed = 5;
    for partition in 0..PARTITIONS {
        let all: Vec<u64> = (u64::from(partition)..VISITORS).step_by(PARTITIONS as usize).collect();
        for (next, visitors) in (1..).zip(all.chunks(BATCH as usize)) {
            let (mut states, mut vectors) = (Changes::new(), Changes::new());
            for visitor in visitors {
                let length = STATE_BYTES - 20 + (random(&mut seed) % 41) as usize;
                states.push((key(*visitor), Some(bytes(&mut seed, length))));
                if dimension > 0 {
                    let vector = [&key(*visitor)[..], &[0, 4], b"embedded"].concat();
                    vectors.push((vector, Some(bytes(&mut seed, dimension * 4))));
                }
            }
            let outcome = store.commit(&commit(partition, next, states, vectors)).await;
            assert_eq!(outcome.unwrap(), Outcome::Committed);
        }
    }
}

async fn memory(server: &Path, dimension: usize) {
    let redis = Server::start(server, Fsync::EverySecond);
    let store = open(&redis).await;
    let info = || redis.ask("INFO memory").unwrap();
    let before = info();
    fill(&store, dimension).await;
    drop(store);
    let after = info();
    let grown = |name| (number(&after, name) - number(&before, name)) / VISITORS as f64;
    let gib = |bytes: f64| bytes * 1e6 / f64::from(1 << 30);
    let (used, resident) = (grown("used_memory_dataset:"), grown("used_memory_rss:"));
    println!(
        "memory, states of {STATE_BYTES} bytes and vectors of {dimension} f32: {used:.0} bytes per \
         visitor = {:.3} GiB per million ({:.3} resident)",
        gib(used),
        gib(resident),
    );
}
