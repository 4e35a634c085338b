//! Updaters on Kafka and Redis that come and go while events flow in: one to four processes, of which some
//! leave, some are killed -9, and some stand still for longer than the group waits for them.
//!
//! `tests/groups 50` runs fifty rounds, and `tests/run` a few.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::fresh::{assert_accounted, digests};
use crate::live::Servers;
use crate::stream::Stream;
use crate::twofold::{Running, Twofold, ledger};

/// Rounds from one process to four and back, where `GROUPS_ROUNDS` does not say otherwise.
const ROUNDS: u64 = 2;
/// Seed of stream and moments, where `GROUPS_SEED` does not say otherwise.
const SEED: u64 = 17;
const PROCESSES_MAX: usize = 4;
/// The group's session is 2 s.
const STANDSTILL: Duration = Duration::from_millis(3_500);
/// The longest pause between two events in a group's life.
const PAUSE_MS_MAX: u64 = 1_200;
/// Events of one import, and how long after each the next one comes.
const EVENTS: u64 = 1_500;
const BETWEEN_IMPORTS: Duration = Duration::from_millis(300);
/// Short sessions; small batches and no memory, so that there is always a commit on its way.
const SETTINGS: &str = "[kafka]\nsession_timeout_ms = 2000\npoll_interval_ms_max = 4000\n\
                        [updater]\nbatch_records = 40\nmemory_bytes = 1\nsettle_ms = 500\n";

fn given(variable: &str, default: u64) -> u64 {
    let given = std::env::var_os(variable);
    given.map_or(default, |given| given.to_str().unwrap().parse().unwrap())
}

/// How a process leaves the group.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It is asked to end.
    Leave,
    /// `kill -9`.
    Kill,
    /// It stands still until others have its partitions, goes on, and is asked to end later.
    Stop,
}

/// What the processes that were asked to end had counted.
#[derive(Debug, Default)]
struct Counted {
    records: u64,
    assigned: u64,
    revoked: u64,
    lost: u64,
    fenced: u64,
}

struct Crew<'a> {
    twofold: &'a Twofold,
    servers: &'a Servers,
    random: ChaCha8Rng,
    processes: Vec<(Running, String)>,
    started: usize,
    counted: Counted,
}

impl Crew<'_> {
    fn pause(&mut self) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(0..PAUSE_MS_MAX)));
    }

    fn start(&mut self) {
        self.started += 1;
        let name = format!("update-{}.log", self.started);
        let update = ["--config", "groups.toml", "--json", "update"];
        let log = std::fs::File::create(self.twofold.path(&name)).unwrap();
        let mut command = self.twofold.command(&self.servers.with(&update));
        let child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        self.processes.push((Running(child), name));
    }

    /// Lets one of them go, however.
    fn part(&mut self, way: Way) {
        let at = self.random.random_range(0..self.processes.len());
        let (mut running, name) = self.processes.swap_remove(at);
        match way {
            Way::Leave => self.end(running, &name),
            Way::Kill => running.kill(),
            Way::Stop => {
                signal(&running, "STOP");
                std::thread::sleep(STANDSTILL);
                signal(&running, "CONT");
                self.pause();
                self.end(running, &name);
            }
        }
    }

    /// Asks it to end, which no fence may keep it from doing well.
    fn end(&mut self, mut running: Running, log: &str) {
        let said = |what: &str| {
            let log = std::fs::read_to_string(self.twofold.path(log)).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            format!("{what}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        assert!(running.0.try_wait().unwrap().is_none(), "{}", said("it ended by itself"));
        signal(&running, "TERM");
        let ended = running.0.wait().unwrap();
        assert!(ended.success(), "{}", said(&ended.to_string()));
        let mut stdout = String::new();
        running.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let counters: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        let count = |name: &str| counters["counters"][name].as_u64().unwrap();
        self.counted.records += count("records");
        self.counted.assigned += count("partitions_assigned");
        self.counted.revoked += count("partitions_revoked");
        self.counted.lost += count("partitions_lost");
        self.counted.fenced += count("fenced");
    }
}

fn signal(running: &Running, name: &str) {
    let pid = running.0.id().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn updaters_come_and_go_and_nothing_is_lost_or_doubled() {
    let (rounds, seed) = (given("GROUPS_ROUNDS", ROUNDS), given("GROUPS_SEED", SEED));
    println!("GROUPS_ROUNDS={rounds} GROUPS_SEED={seed}");
    let (servers, twofold) = (Servers::start(), Twofold::new());
    twofold.file("groups.toml", SETTINGS);
    twofold.json(&servers.with(&["topics", "create"]));
    let mut stream = Stream::on(seed, servers.with(&[]));
    let over = AtomicBool::new(false);
    let mut crew = Crew {
        twofold: &twofold,
        servers: &servers,
        random: ChaCha8Rng::seed_from_u64(seed),
        processes: Vec::new(),
        started: 0,
        counted: Counted::default(),
    };
    crew.start();
    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                stream.import(&twofold, EVENTS);
                std::thread::sleep(BETWEEN_IMPORTS);
            }
        });
        // A failure in the midst must not leave the feeder running.
        let _over = Over(&over);
        for round in 0..rounds {
            while crew.processes.len() < PROCESSES_MAX {
                crew.pause();
                crew.start();
            }
            let mut ways = [Way::Leave, Way::Kill, Way::Stop];
            ways.shuffle(&mut crew.random);
            for way in ways {
                crew.pause();
                assert!(!feeding.is_finished(), "events flow all the time");
                crew.part(way);
            }
            println!("round {}: {ways:?}, {:?}", round + 1, crew.counted);
        }
    });
    crew.pause();
    let (last, name) = crew.processes.pop().unwrap();
    crew.end(last, &name);
    let Counted { records, assigned, revoked, lost, .. } = crew.counted;
    assert!(records > 0 && assigned > 0 && revoked > 0, "{:?}", crew.counted);
    assert!(lost > 0, "who stood still has lost its partitions: {:?}", crew.counted);

    twofold.json(&servers.with(&["--config", "groups.toml", "update", "--drain"]));
    let status = twofold.json(&servers.with(&["status", "--digest"]));
    assert_accounted(&status, "shared");
    for entity in ["visitor", "item"] {
        assert_eq!(ledger(&status, entity, "position"), stream.appended, "{status}");
        for kind in ["applied", "duplicate", "late", "dead_lettered"] {
            assert!(ledger(&status, entity, kind) > 0, "{kind}: {status}");
        }
    }
    println!("{} processes, {} records: {:?}", crew.started, stream.appended, crew.counted);
    let undisturbed = stream.undisturbed();
    assert_eq!(digests(&status), digests(&undisturbed), "states differ from one updater's");
}

/// Says that it is over, whatever happens.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
