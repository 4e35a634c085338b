//! Kill -9 at random moments and abort at each crash point: the state is never ahead of the log, and
//! equals what the log makes of it.
//!
//! The test binary starts itself again as the process that dies.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use embedded::Options;
use embedded::crash::POINTS;
use event_log::EventLog;
use online_store::{OnlineStore, OwnerToken};
use record::{Offset, Partition};

use crate::pair::{LANE, PARTITIONS, Pair, TOPIC};

const DIRECTORY: &str = "TWOFOLD_TEST_DIRECTORY";
const CRASH_AT: &str = "TWOFOLD_TEST_CRASH_AT";
const DURABLE: &str = "TWOFOLD_TEST_DURABLE";
/// Records after which a child that was not killed removes the lane.
const RECORDS: &str = "TWOFOLD_TEST_RECORDS";
const KILLS: u64 = 20;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

#[expect(clippy::disallowed_methods, reason = "how the tests below speak to their child")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Appends and folds, prints what is acknowledged, and after its records removes the lane.
#[test]
#[ignore = "the process that the tests below start and kill"]
fn child() {
    let directory = told(DIRECTORY).expect("started by the tests below");
    let crash_at = told(CRASH_AT).map(|at| at.parse().unwrap());
    let records = told(RECORDS).unwrap().parse().unwrap();
    println!();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Small, so that tables are written all the time and kills fall into that too.
        let memtable_bytes = Some(4 << 10);
        let options = Options { crash_at, memtable_bytes, ..Options::default() };
        let pair = Pair::open(Path::new(&directory), options, told(DURABLE).is_some());
        pair.log.create(TOPIC, PARTITIONS).await.unwrap();
        let folds: Vec<_> = (0..PARTITIONS)
            .map(|partition| tokio::spawn(fold(pair.clone(), Partition(partition))))
            .collect();
        for i in 0..records {
            let (partition, offset) = pair.append(i).await;
            println!("ack {partition} {offset}");
        }
        for fold in folds {
            fold.await.unwrap();
        }
        pair.store.remove(LANE).await.unwrap();
        println!("removed");
    });
}

/// Folds until nothing comes for a while.
async fn fold(pair: Pair, partition: Partition) {
    let mut owner = [0; 16];
    owner[..4].copy_from_slice(&std::process::id().to_be_bytes());
    let told = |next: Option<Offset>| {
        if let Some(next) = next {
            println!("commit {partition} {next}");
        }
        next.is_some()
    };
    pair.fold(partition, OwnerToken(owner), told).await;
}

/// A child, and what it has said so far.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    output: String,
}

impl Running {
    /// Kills it a while after it began to commit if that is asked for, else a while after its start.
    fn kill(&mut self, at_work: bool, while_ms: u64) {
        while at_work && !self.output.lines().any(|line| line.starts_with("commit ")) {
            assert_ne!(self.stdout.read_line(&mut self.output).unwrap(), 0, "it works");
        }
        std::thread::sleep(Duration::from_millis(while_ms));
        self.child.kill().unwrap();
    }
}

fn start(directory: &Path, crash_at: Option<String>, durable: bool, records: u64) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(RECORDS, records.to_string())
        .envs(crash_at.map(|at| (CRASH_AT, at)))
        .envs(durable.then_some((DURABLE, "yes")))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Running { child, stdout, output: String::new() }
}

/// What a child said before it died.
#[derive(Debug, Default)]
struct Said {
    /// Per partition, the end of what was acknowledged to the appender.
    appended: [u64; PARTITIONS as usize],
    /// Per partition, the last position that was committed.
    committed: [u64; PARTITIONS as usize],
    removed: bool,
    signal: Option<i32>,
}

fn listen(running: Running) -> Said {
    let Running { mut child, mut stdout, mut output } = running;
    stdout.read_to_string(&mut output).unwrap();
    let mut said = Said { signal: child.wait().unwrap().signal(), ..Said::default() };
    let whole = &output[..output.rfind('\n').map_or(0, |end| end + 1)];
    for line in whole.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["ack", partition, offset] => {
                said.appended[partition.parse::<usize>().unwrap()] =
                    offset.parse::<u64>().unwrap() + 1;
            }
            ["commit", partition, next] => {
                said.committed[partition.parse::<usize>().unwrap()] = next.parse().unwrap();
            }
            ["removed"] => said.removed = true,
            _ => {}
        }
    }
    said
}

/// Checks both partitions; returns the records that are yet to be folded.
fn check(directory: &Path, said: &Said, when: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pair = Pair::open(directory, Options::default(), false);
    runtime.block_on(async {
        if pair.log.topic(TOPIC).await.is_err() {
            assert_eq!(said.appended.iter().sum::<u64>(), 0, "{when}: the topic is lost");
            return 0;
        }
        let mut left = 0;
        for partition in (0..PARTITIONS).map(Partition) {
            let (head, end) = pair.check(partition).await;
            let at = partition.0 as usize;
            assert!(end.0 >= said.appended[at], "{when}: {end} in the log, {said:?}");
            assert!(head.0 >= said.committed[at] || said.removed, "{when}: head {head}, {said:?}");
            left += end.0 - head.0;
        }
        left
    })
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

#[test]
fn the_state_is_never_ahead_of_the_log_when_killed_at_random_moments() {
    for durable in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (mut replayed, mut appended) = (0, 0);
        for kill in 0..KILLS {
            let mut child = start(directory.path(), None, durable, u64::MAX);
            child.kill(kill % 2 == 0, kill * 7_919 % 173);
            let said = listen(child);
            assert_eq!(said.signal, Some(SIGKILL), "it worked until it was killed");
            appended = appended.max(said.appended.iter().sum());
            replayed += check(directory.path(), &said, &format!("kill {kill}"));
        }
        assert!(appended > 100, "the children did work: {appended}");
        assert!(has_tables(directory.path()), "kills could fall into the writing of tables");
        assert!(replayed > 0, "no kill came between an append and its commit");
    }
}

#[test]
fn an_abort_at_each_point_leaves_a_state_of_the_log() {
    for point in POINTS {
        let removes = point.name().starts_with("state.remove.");
        let creates = point.name().starts_with("log.create.");
        for nth in [1, 2, 9] {
            // One topic; one claim and one removal for each of the two partitions.
            let passings = match point.name() {
                name if name.starts_with("log.create.") => 1,
                name if name.starts_with("state.claim.") => 2,
                name if name.starts_with("state.remove.") => 2,
                _ => 9,
            };
            if nth > passings {
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            let at = format!("{point}:{nth}");
            let child = start(directory.path(), Some(at.clone()), true, 60);
            let mut said = listen(child);
            assert_eq!(said.signal, Some(SIGABRT), "{at} aborts: {said:?}");
            if creates {
                continue;
            }
            said.removed = removes;
            check(directory.path(), &said, &at);
            // What died goes on: everything is folded in the end.
            let again = listen(start(directory.path(), None, false, 60));
            assert_eq!((again.signal, again.removed), (None, true), "{at}: {again:?}");
        }
    }
}

/// A removal that was interrupted is ended at the next opening.
#[test]
fn a_removal_is_whole_after_a_crash() {
    for at in ["state.remove.after_mark:1", "state.remove.before_unmark:1"] {
        let directory = tempfile::tempdir().unwrap();
        let said = listen(start(directory.path(), Some(at.to_owned()), false, 60));
        assert_eq!(said.signal, Some(SIGABRT), "{at}: {said:?}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let pair = Pair::open(directory.path(), Options::default(), false);
        let gone = runtime.block_on(async {
            let mut gone = 0;
            for partition in (0..PARTITIONS).map(Partition) {
                let mut states = 0;
                let mut visit = |_: &[u8], _: &[u8]| states += 1;
                match pair.store.scan(LANE, partition, &mut visit).await.unwrap() {
                    None => {
                        assert_eq!(states, 0, "{at}: no head, no states");
                        gone += 1;
                    }
                    Some(_) => assert!(states > 0, "{at}: not reached by the removal"),
                }
            }
            gone
        });
        assert_eq!(gone, 1, "{at}: the partition that was being removed, and only it");
        // The next one under this name finds nothing of it.
        drop(pair);
        let said = listen(start(directory.path(), None, false, 60));
        assert_eq!((said.signal, said.removed), (None, true), "{at}: {said:?}");
    }
}
