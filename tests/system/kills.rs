//! kill -9 of `update` while it works off a stream: each life goes on where the last commit stands, and what
//! comes out is what one undisturbed life makes of the same stream.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::fresh::{assert_accounted, digests, fields};
use crate::stream::Stream;
use crate::twofold::{Running, Twofold, ledger};

/// Seed of stream and moments; a failure is repeated with the one that it prints.
const SEED: u64 = 9;
/// Kills in the midst of work.
const KILLS: usize = 20;
/// Lives, those included that died before their first commit or after their last.
const LIVES_MAX: usize = 60;
/// More than the claims of all lanes take in the journal: after so much there are commits.
const WORK_BYTES: u64 = 8 << 10;
/// The longest that a life works before it is killed.
const PAUSE_MS_MAX: u64 = 60;
/// Records that a life begins with at least: more than it can work off before it is killed.
const LAG_MIN: u64 = 15_000;
/// Small batches, so that there are many moments to die at; no memory, so that states are read again.
const SETTINGS: &str = "[updater]\nbatch_records = 3\nmemory_bytes = 1\n";

fn sum(status: &Value, field: &str) -> u64 {
    ledger(status, "visitor", field) + ledger(status, "item", field)
}

/// Partitions whose two lanes stand at different positions: one was killed before its commit, so its
/// records are read and folded once more.
fn torn(status: &Value) -> usize {
    let lanes = status["lanes"].as_array().unwrap();
    let of = |entity: &str| {
        let ours = lanes.iter().filter(|l| l["source"] == "clickstream" && l["entity"] == entity);
        ours.map(|lane| (&lane["partition"], &lane["position"])).collect::<Vec<_>>()
    };
    of("visitor").iter().zip(&of("item")).filter(|(a, b)| a != b).count()
}

/// Bytes of the database's files: claims and commits make them grow, so they tell from outside that a
/// life is at work.
fn written(twofold: &Twofold) -> u64 {
    let Ok(files) = std::fs::read_dir(twofold.path("twofold-data/db")) else { return 0 };
    files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len())).sum()
}

/// Waits until the process has committed something, however long it takes to start.
fn wait_for_work(twofold: &Twofold, update: &mut Running, before: u64) {
    while written(twofold) < before + WORK_BYTES {
        assert!(update.0.try_wait().unwrap().is_none(), "it runs until it is told to stop");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_update_in_the_midst_of_work_loses_nothing() {
    println!("seed {SEED}");
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut stream = Stream::new(SEED);
    let twofold = Twofold::new();
    twofold.file("twofold.toml", SETTINGS);
    // The second file has records that are late after the first.
    (0..2).for_each(|_| stream.import(&twofold, LAG_MIN));
    let mut status = twofold.json(&["status"]);
    let (mut kills, mut replayed) = (0, 0);
    let mut lives = 0;
    while kills < KILLS {
        lives += 1;
        assert!(lives <= LIVES_MAX, "{kills} of {lives} lives were killed in the midst of work");
        if ledger(&status, "visitor", "lag") < LAG_MIN {
            stream.import(&twofold, 2 * LAG_MIN);
            status = twofold.json(&["status"]);
        }
        let before = written(&twofold);
        let mut update = twofold.start(&["--config", "twofold.toml", "update"]);
        wait_for_work(&twofold, &mut update, before);
        std::thread::sleep(Duration::from_millis(random.random_range(0..PAUSE_MS_MAX)));
        update.kill();
        let before = std::mem::replace(&mut status, twofold.json(&["status"]));
        let advanced = sum(&status, "position") > sum(&before, "position");
        let lags = ["visitor", "item"].map(|entity| ledger(&status, entity, "lag"));
        if advanced && lags.iter().all(|lag| *lag > 0) {
            kills += 1;
            replayed += torn(&status);
        }
    }
    assert!(replayed > 0, "no kill came between two commits: this test does not bite");
    let drained = twofold.json(&["update", "--drain"]);
    assert!(drained["counters"]["records"].as_u64().unwrap() > 0, "there was lag: {drained}");

    let status = twofold.json(&["status", "--digest"]);
    assert_accounted(&status, "killed");
    for entity in ["visitor", "item"] {
        assert_eq!(ledger(&status, entity, "position"), stream.appended, "{status}");
        for kind in ["applied", "duplicate", "late", "dead_lettered"] {
            assert!(ledger(&status, entity, kind) > 0, "{kind}: {status}");
        }
    }
    // A replay writes late records and dead letters again, under the same id; none is missing.
    for (topic, field) in [("late", "late"), ("dead-letter", "dead_lettered")] {
        let ids = fields(&twofold.path("twofold-data"), topic, "id").await;
        let distinct: BTreeSet<String> = ids.into_iter().collect();
        assert_eq!(distinct.len() as u64, sum(&status, field), "topic {topic}");
    }
    let undisturbed = stream.undisturbed();
    assert_eq!(digests(&status), digests(&undisturbed), "states differ from an undisturbed life's");
}

#[test]
fn a_drain_that_is_told_to_stop_is_no_success() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", SETTINGS);
    Stream::new(SEED).import(&twofold, 2 * LAG_MIN);
    let before = written(&twofold);
    let mut update =
        twofold.start_logged(&["--config", "twofold.toml", "update", "--drain"], "drain.log");
    wait_for_work(&twofold, &mut update, before);
    let code = update.terminated();
    let said = std::fs::read_to_string(twofold.path("drain.log")).unwrap();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("told to stop before"), "{said}");
    let drained = twofold.json(&["update", "--drain"]);
    assert_eq!(drained["caught_up"], true, "{drained}");
    assert!(drained["counters"]["records"].as_u64().unwrap() > 0, "{drained}");
}
