//! Updaters that come and go while a stream goes through: from one process to four and back, in each round
//! one of them leaves, one is killed -9, and one stands still (SIGSTOP) until others have its partitions,
//! and goes on.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use servers::{Fsync, Redis};
use tokio::time::Instant;

use super::dose::{dose, seed};
use super::events::Events;
use super::feeder::Feeder;
use super::oracle::compare;
use super::plain::{self, TOPIC};
use super::ride::{directory, kafka, on, redis_server, until_covered};
use super::stood::{Stood, until};
use super::store::Store;
use crate::twofold::{Running, Twofold};

const SEED: u64 = 109;
const PROCESSES_MAX: usize = 4;
/// The group's session is 2 s.
const STANDSTILL_MIN: Duration = Duration::from_millis(3_000);
/// Events each second.
const RATE: usize = 800;
/// Events that a run may come to: they set how far they lie apart.
const EVENTS_MAX: usize = 2_000_000;
/// The longest pause between two events in a group's life.
const PAUSE_MS_MAX: u64 = 1_000;
/// Short sessions; small batches and no memory, so that there is always a commit on its way.
const SETTINGS: &str = "[kafka]\nsession_timeout_ms = 2000\npoll_interval_ms_max = 4000\n\
                        [updater]\nbatch_records = 40\nmemory_bytes = 1\nsettle_ms = 500\n";

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
    commits: u64,
    revoked: u64,
    lost: u64,
    fenced: u64,
}

struct Crew<'a> {
    twofold: Arc<Twofold>,
    arguments: Vec<&'a str>,
    store: &'a Store,
    random: ChaCha8Rng,
    processes: Vec<(Running, String)>,
    started: usize,
    counted: Counted,
    stood: Stood,
}

impl Crew<'_> {
    fn pause(&mut self) {
        std::thread::sleep(Duration::from_millis(self.random.random_range(0..PAUSE_MS_MAX)));
    }

    fn start(&mut self) {
        self.started += 1;
        let log = format!("update-{}.log", self.started);
        self.processes.push((self.twofold.start_logged(&self.arguments, &log), log));
    }

    /// Waits until every partition of every lane goes on from where it is now.
    fn go_on(&mut self) -> Duration {
        let mut before = None;
        until("positions", || {
            self.all_run();
            before = self.store.positions();
            before.is_some()
        });
        let before = before.expect("just looked");
        until("every partition goes on", || {
            self.all_run();
            let past = |now: &Vec<u64>| now.iter().zip(&before).all(|(now, before)| now > before);
            self.store.positions().as_ref().is_some_and(past)
        })
    }

    /// Notes how long it took until all of it went on.
    fn stand(&mut self) {
        let time = self.go_on();
        self.stood.add(time);
    }

    /// Nobody starts a member again, so one that ends by itself has failed.
    fn all_run(&mut self) {
        let ended = |(running, log): &mut (Running, String)| {
            running.0.try_wait().unwrap().map(|ended| (ended, log.clone()))
        };
        if let Some((ended, log)) = self.processes.iter_mut().find_map(ended) {
            panic!("{log} ended by itself ({ended}):\n{}", self.last_lines(&log));
        }
    }

    fn last_lines(&self, log: &str) -> String {
        let log = self.log(log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.twofold.path(name)).unwrap_or_default()
    }

    /// Waits until the log of a process holds one of these words.
    fn until_said(&self, log: &str, words: &[&str]) {
        until(words[0], || {
            let said = self.log(log);
            words.iter().any(|word| said.contains(word))
        });
    }

    /// Lets one of them go that has work, however, and waits until the others have it.
    fn part(&mut self, way: Way) {
        let mut busy = Vec::new();
        until("work for somebody", || {
            self.all_run();
            let log = |at: &usize| self.log(&self.processes[*at].1);
            busy = (0..self.processes.len()).filter(|at| has_clicks(&log(at))).collect();
            !busy.is_empty()
        });
        let at = busy[self.random.random_range(0..busy.len())];
        let (mut running, log) = self.processes.swap_remove(at);
        match way {
            Way::Leave => {
                self.end(running, &log);
                self.stand();
            }
            Way::Kill => {
                running.kill();
                self.stand();
            }
            Way::Stop => {
                let start = Instant::now();
                signal(&running, "STOP");
                self.stand();
                // Its last share may have gone just before.
                std::thread::sleep(STANDSTILL_MIN.saturating_sub(start.elapsed()));
                signal(&running, "CONT");
                // It is told by the group, or finds out when it commits.
                self.until_said(&log, &["Lost([Share", "a partition was taken over"]);
                let before = self.counted.lost + self.counted.fenced;
                self.end(running, &log);
                let found = self.counted.lost + self.counted.fenced - before;
                assert!(found > 0, "who stood still has found its partitions to be others'");
            }
        }
    }

    /// Asks it to end, which no fence may keep it from doing well.
    fn end(&mut self, mut running: Running, log: &str) {
        let said = |what: &str| format!("{what}:\n{}", self.last_lines(log));
        assert!(running.0.try_wait().unwrap().is_none(), "{}", said("it ended by itself"));
        signal(&running, "TERM");
        let ended = running.0.wait().unwrap();
        assert!(ended.success(), "{}", said(&ended.to_string()));
        let mut stdout = String::new();
        running.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let counters: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        let count = |name: &str| counters["counters"][name].as_u64().unwrap();
        self.counted.commits += count("commits");
        self.counted.revoked += count("partitions_revoked");
        self.counted.lost += count("partitions_lost");
        self.counted.fenced += count("fenced");
    }
}

/// Whether a process has partitions of the clickstream, by what its log says that the group told it.
fn has_clicks(log: &str) -> bool {
    let mut shares = BTreeSet::new();
    for line in log.lines() {
        let Some((_, change)) = line.split_once("change=") else { continue };
        let named = change.split("Share {").skip(1).filter_map(|share| share.split('}').next());
        let clicks = named.filter(|share| share.contains(&format!("{TOPIC:?}")));
        match change.starts_with("Assigned") {
            true => shares.extend(clicks),
            false => clicks.for_each(|share| {
                shares.remove(share);
            }),
        }
    }
    !shares.is_empty()
}

fn signal(running: &Running, name: &str) {
    let pid = running.0.id().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/run starts them"]
fn updaters_come_and_go_and_nothing_is_lost_or_doubled() {
    let (seed, rounds) = (seed(SEED), dose(2, 50));
    let (kafka, redis) = (kafka(), Redis::start(&redis_server(), Fsync::Always));
    let (log, url) = (format!("kafka://{}", kafka.bootstrap()), redis.url());
    let twofold = directory(SETTINGS, &log, &url);
    let store = Store::open(&url);
    let mut feeder = Feeder::start(&kafka.bootstrap(), Events::new(seed, EVENTS_MAX), RATE);
    let mut crew = Crew {
        twofold: Arc::clone(&twofold),
        arguments: on(&log, &url, &["--json", "update"]),
        store: &store,
        random: ChaCha8Rng::seed_from_u64(seed),
        processes: Vec::new(),
        started: 0,
        counted: Counted::default(),
        stood: Stood::default(),
    };
    crew.start();
    crew.go_on();
    for round in 1..=rounds {
        while crew.processes.len() < PROCESSES_MAX {
            crew.pause();
            crew.start();
        }
        let mut ways = [Way::Leave, Way::Kill, Way::Stop];
        ways.shuffle(&mut crew.random);
        for way in ways {
            crew.pause();
            crew.part(way);
        }
        println!("round {round}: {ways:?}, {:?}", crew.counted);
    }
    let events = feeder.stop();
    until_covered(&store, &kafka.bootstrap(), || crew.all_run());
    let (last, name) = crew.processes.pop().unwrap();
    crew.end(last, &name);
    let Crew { started, counted, stood, .. } = crew;
    assert!(counted.commits > 0 && counted.lost + counted.fenced >= rounds, "{counted:?}");
    let found = plain::read(&kafka.bootstrap(), TOPIC);
    let line = format!(
        "{rounds} × from 1 to 4 updaters and back by leaving, kill -9, SIGSTOP; {started} processes, {counted:?}"
    );
    let outcome = compare(&store, &found, &events, false).with_letters(&kafka.bootstrap());
    outcome.assert_exact("members", seed, &line, &stood);
}
