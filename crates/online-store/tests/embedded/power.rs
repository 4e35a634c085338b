//! The power fails: what was not synced is gone from the end of the journal. Log and state rewind
//! together, and nothing acknowledged is lost.

use std::fs::File;
use std::path::{Path, PathBuf};

use embedded::Options;
use event_log::EventLog;
use online_store::OwnerToken;
use record::Partition;

use crate::pair::{PARTITIONS, Pair, TOPIC};

/// The newest journal and where its last written byte is.
fn journal(directory: &Path) -> (PathBuf, u64) {
    let files = std::fs::read_dir(directory.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let path = files.filter(|path| path.extension().is_some_and(|e| e == "jnl")).max().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    (path, end as u64)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_lost_end_of_the_journal_takes_states_but_no_records() {
    const RECORDS: u64 = 60;
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let pair = Pair::open(directory.path(), Options::default(), false);
    let synced = runtime.block_on(async {
        pair.log.create(TOPIC, PARTITIONS).await.unwrap();
        for i in 0..RECORDS {
            pair.append(i).await;
        }
        // Acknowledged, therefore synced: a power failure leaves at least this.
        let (_, synced) = journal(directory.path());
        for partition in (0..PARTITIONS).map(Partition) {
            pair.fold(partition, OwnerToken([1; 16]), |next| next.is_some()).await;
        }
        synced
    });
    let (_, end) = journal(directory.path());
    assert!(end > synced + 500, "the commits are behind the records: {synced}..{end}");
    let mut heads = std::collections::BTreeSet::new();
    for cut in (synced..=end).step_by(((end - synced) / 40).max(1) as usize).chain([end]) {
        let after = tempfile::tempdir().unwrap();
        copy(&directory.path().join("db"), &after.path().join("db"));
        let (path, _) = journal(after.path());
        let file = File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(cut).unwrap();
        // The file had its length from the beginning; what was not written is zeros.
        file.set_len(length).unwrap();
        let pair = Pair::open(after.path(), Options::default(), false);
        let (mut records, mut head) = (0, 0);
        for partition in (0..PARTITIONS).map(Partition) {
            let (next, end) = runtime.block_on(pair.check(partition));
            records += end.0;
            head += next.0;
        }
        assert_eq!(records, RECORDS, "cut at {cut}: no record is lost");
        heads.insert(head);
    }
    assert!(heads.contains(&0) && heads.contains(&RECORDS) && heads.len() > 4, "{heads:?}");
}
