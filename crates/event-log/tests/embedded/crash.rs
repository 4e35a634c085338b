//! Kill -9 at random moments and abort at each crash point: what was acknowledged is there.
//!
//! The test binary starts itself again as the process that dies.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use embedded::Options;
use embedded::crash::{POINTS, Point};
use event_log::{EventLog, NewRecord};
use record::{Offset, Partition, Record};

use crate::harness::open;

const TOPIC: &str = "events";
const PARTITIONS: u32 = 2;
const DIRECTORY: &str = "TWOFOLD_TEST_DIRECTORY";
const CRASH_AT: &str = "TWOFOLD_TEST_CRASH_AT";
const WORK: &str = "TWOFOLD_TEST_WORK";
const KILLS: u64 = 20;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

#[expect(clippy::disallowed_methods, reason = "how the tests below speak to their child")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Appends for ever and prints what is acknowledged.
#[test]
#[ignore = "the process that the tests below start and kill"]
fn child() {
    let directory = told(DIRECTORY).expect("started by the tests below");
    let crash_at = told(CRASH_AT).map(|at| at.parse().unwrap());
    let work = Work::parse(&told(WORK).unwrap());
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options =
            Options { crash_at, memtable_bytes: work.memtable_bytes, ..Options::default() };
        let log = Arc::new(open(Path::new(&directory), options));
        log.create(TOPIC, PARTITIONS).await.unwrap();
        let appenders: Vec<_> = (0..work.appenders)
            .map(|appender| tokio::spawn(run(Arc::clone(&log), appender, work)))
            .collect();
        for appender in appenders {
            appender.await.unwrap();
        }
    });
}

async fn run(log: Arc<impl EventLog>, appender: usize, work: Work) {
    for i in 0.. {
        let names: Vec<_> = (0..work.records)
            .map(|record| format!("{}:{appender}:{i}:{record}", std::process::id()))
            .collect();
        let records = names.iter().map(|name| NewRecord {
            key: name.clone().into_bytes(),
            value: format!("{name:x<width$}", width = work.bytes).into_bytes(),
            trace: None,
        });
        let outcomes = log.append(TOPIC, records.collect()).await.unwrap();
        for (name, outcome) in names.iter().zip(outcomes) {
            let appended = outcome.unwrap();
            println!("ack {} {} {name}", appended.partition, appended.offset);
        }
    }
}

/// What a child does.
#[derive(Clone, Copy)]
struct Work {
    appenders: usize,
    /// Per append.
    records: usize,
    /// Per value, at least.
    bytes: usize,
    memtable_bytes: Option<u64>,
}

impl Work {
    const LITTLE: Self = Self { appenders: 1, records: 1, bytes: 0, memtable_bytes: None };

    fn to_text(self) -> String {
        let Self { appenders, records, bytes, memtable_bytes } = self;
        format!("{appenders} {records} {bytes} {}", memtable_bytes.unwrap_or(0))
    }

    fn parse(text: &str) -> Self {
        let numbers: Vec<_> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [appenders, records, bytes, memtable_bytes] = numbers[..] else { panic!("{text}") };
        let memtable_bytes = (memtable_bytes > 0).then_some(memtable_bytes as u64);
        Self { appenders, records, bytes, memtable_bytes }
    }
}

/// A child, and what it has said so far.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    output: String,
}

impl Running {
    /// Kills it a while after it began to work if that is asked for, else a while after its start.
    fn kill(&mut self, at_work: bool, while_ms: u64) {
        while at_work && !self.output.lines().any(|line| line.starts_with("ack ")) {
            assert_ne!(self.stdout.read_line(&mut self.output).unwrap(), 0, "it works");
        }
        std::thread::sleep(Duration::from_millis(while_ms));
        self.child.kill().unwrap();
    }
}

fn start(directory: &Path, crash_at: Option<String>, work: Work) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(WORK, work.to_text())
        .envs(crash_at.map(|at| (CRASH_AT, at)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Running { child, stdout, output: String::new() }
}

/// (partition, offset) → key, as the child was told; keys are never used twice.
type Acknowledged = BTreeMap<(Partition, Offset), String>;

/// What the child printed to its end, whole lines only, and the signal it died of.
fn acknowledged(running: Running) -> (Acknowledged, Option<i32>) {
    let Running { mut child, mut stdout, mut output } = running;
    stdout.read_to_string(&mut output).unwrap();
    let signal = child.wait().unwrap().signal();
    let whole = &output[..output.rfind('\n').map_or(0, |end| end + 1)];
    let acknowledged = whole.lines().filter_map(|line| {
        let mut words = line.strip_prefix("ack ")?.split(' ');
        let partition = Partition(words.next()?.parse().unwrap());
        let offset = Offset(words.next()?.parse().unwrap());
        Some(((partition, offset), words.next()?.to_owned()))
    });
    (acknowledged.collect(), signal)
}

/// All records there are; offsets are dense, times do not go back, no value is there twice.
fn records(directory: &Path) -> BTreeMap<(Partition, Offset), Record> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = open(directory, Options::default());
    let all = runtime.block_on(async {
        let mut all = Vec::new();
        let Ok(bounds) = log.bounds(TOPIC).await else { return all };
        for (partition, bounds) in bounds.into_iter().enumerate() {
            let partition = Partition(partition as u32);
            let mut reader = log.reader(TOPIC, partition, bounds.first).await.unwrap();
            let mut found: Vec<Record> = Vec::new();
            while reader.position() < bounds.next {
                found.extend(reader.next(10_000, Duration::ZERO).await.unwrap());
            }
            assert!(found.iter().map(|record| record.offset.0).eq(0..bounds.next.0), "dense");
            assert!(found.is_sorted_by_key(|record| record.append_time));
            all.extend(found);
        }
        all
    });
    assert!(all.iter().all(|record| record.value.starts_with(&record.key)), "whole values");
    let mut keys: Vec<_> = all.iter().map(|record| &record.key).collect();
    keys.sort();
    assert!(keys.is_sorted_by(|a, b| a < b), "each record once");
    all.into_iter().map(|record| ((record.partition, record.offset), record)).collect()
}

fn check_all_there(
    acknowledged: &Acknowledged,
    records: &BTreeMap<(Partition, Offset), Record>,
    when: &str,
) {
    for (place, value) in acknowledged {
        let found = records.get(place).map(|record| String::from_utf8_lossy(&record.key));
        assert_eq!(found.as_deref(), Some(&**value), "{when}: acknowledged at {place:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_killed_at_random_moments() {
    kill_and_check(Work { appenders: 4, ..Work::LITTLE });
}

/// Tables are written and compacted all the time, so that kills fall into that too.
#[test]
fn nothing_acknowledged_is_lost_when_killed_while_tables_are_written() {
    let memtable_bytes = Some(64 << 10);
    kill_and_check(Work { appenders: 2, records: 32, bytes: 1000, memtable_bytes });
}

/// Whether any keyspace has written a table.
fn has_tables(directory: &Path) -> bool {
    let keyspaces = std::fs::read_dir(directory.join("db/keyspaces")).unwrap();
    // Keyspace 0 is the library's own.
    keyspaces
        .map(|keyspace| keyspace.unwrap().path())
        .filter(|path| !path.ends_with("0"))
        .any(|keyspace| std::fs::read_dir(keyspace.join("tables")).unwrap().next().is_some())
}

fn kill_and_check(work: Work) {
    let directory = tempfile::tempdir().unwrap();
    let mut all = Acknowledged::new();
    let (mut before, mut unacknowledged) = (0, 0);
    for kill in 0..KILLS {
        let mut child = start(directory.path(), None, work);
        // Spread over opening and appending by a fixed rule, so that a failure can be repeated.
        child.kill(kill % 2 == 0, kill * 7_919 % 173);
        let (acknowledged, signal) = acknowledged(child);
        assert_eq!(signal, Some(SIGKILL), "it appended until it was killed");
        let new = acknowledged.len();
        all.extend(acknowledged);
        let records = records(directory.path());
        check_all_there(&all, &records, &format!("kill {kill}"));
        unacknowledged += records.len() - before - new;
        before = records.len();
    }
    assert!(all.len() > 100, "the children did append: {}", all.len());
    assert_eq!(has_tables(directory.path()), work.memtable_bytes.is_some());
    assert!(unacknowledged > 0, "no kill came between a write and its answer");
}

#[test]
fn an_abort_at_each_point_of_the_log_loses_nothing_acknowledged() {
    let points = POINTS.iter().filter(|point| point.name().starts_with("log."));
    let mut tried = 0;
    for point in points {
        for nth in [1, 2, 9] {
            let creates = point.name().starts_with("log.create.");
            if creates && nth > 1 {
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            let child = start(directory.path(), Some(format!("{point}:{nth}")), Work::LITTLE);
            let (acknowledged, signal) = acknowledged(child);
            assert_eq!(signal, Some(SIGABRT), "{point}:{nth} aborts");
            let records = records(directory.path());
            check_all_there(&acknowledged, &records, &format!("{point}:{nth}"));
            let written = !matches!(point, Point::LogAppendBeforeWrite) && !creates;
            assert_eq!(acknowledged.len(), if creates { 0 } else { nth - 1 }, "{point}:{nth}");
            assert_eq!(records.len(), acknowledged.len() + usize::from(written), "{point}:{nth}");
            tried += 1;
        }
    }
    assert_eq!(tried, 2 + 4 * 3, "a new point wants its line here");
}
