use std::path::Path;
use std::time::{Duration, Instant};

use embedded::Database;

/// Bytes of the journal, nearly: all of it is still to be written to tables.
const JOURNAL_BYTES: usize = 60 << 20;
const TIMES: usize = 5;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn time(open: impl Fn()) -> Duration {
    let once = || {
        let start = Instant::now();
        open();
        start.elapsed()
    };
    (0..TIMES).map(|_| once()).min().unwrap()
}

/// What looking first costs, as a part of what the library takes to open the same journal.
#[test]
#[ignore = "a measurement"]
fn looking_first_is_cheap() {
    for (records, record_bytes) in [(1, 200), (100, 200), (100, 2_000)] {
        let root = tempfile::tempdir().unwrap();
        {
            let database = Database::open(root.path()).unwrap();
            let keyspace = database.keyspace("log").unwrap();
            for i in 0..JOURNAL_BYTES / (records * (record_bytes + 40) + 70) {
                let mut batch = database.batch();
                for record in 0..records {
                    let key = ((i * records + record) as u128).to_be_bytes();
                    batch.insert(&keyspace, key, vec![i as u8; record_bytes]);
                }
                database.write(batch).unwrap();
            }
        }
        let journal = std::fs::metadata(root.path().join("db/0.jnl")).unwrap().len();
        let ours = time(|| drop(Database::open(root.path()).unwrap()));
        let theirs = time(|| drop(library(&root.path().join("db"))));
        println!(
            "{records} × {record_bytes} bytes, journal {journal}: library {theirs:?}, with ours {ours:?}, \
             looking first {:.1} % of the library's",
            100.0 * (ours.as_secs_f64() / theirs.as_secs_f64() - 1.0)
        );
        assert!(ours < theirs * 2);
    }
}

fn library(path: &Path) -> fjall::Database {
    fjall::Database::builder(path).worker_threads(1).open().unwrap()
}
