//! The power fails: what was not synced is gone from the end of the journal. Log and state rewind
//! together, and nothing acknowledged is lost.

use std::fs::File;
use std::path::{Path, PathBuf};

use embedded::Options;
use event_log::{EventLog, NewRecord};
use online_store::{Commit, OnlineStore, Outcome, OwnerToken, StoredHead};
use record::{Offset, Partition};

use crate::pair::{LANE, PARTITIONS, Pair, TOPIC};

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

/// A copy of the database with its newest journal cut short.
fn cut_at(directory: &Path, cut: u64) -> tempfile::TempDir {
    let after = tempfile::tempdir().unwrap();
    copy(&directory.join("db"), &after.path().join("db"));
    let (path, _) = journal(after.path());
    let file = File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(cut).unwrap();
    // The file had its length from the beginning; what was not written is zeros.
    file.set_len(length).unwrap();
    after
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
        let after = cut_at(directory.path(), cut);
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

/// What is appended before a commit (late records, say) need not be on the disk when the commit is written.
#[test]
fn a_commit_never_outlives_what_was_appended_before_it() {
    const COMMITS: u64 = 20;
    const SIDE: &str = "late";
    let (owner, partition) = (OwnerToken([1; 16]), Partition(0));
    let record = |i: u64| NewRecord { key: vec![7], value: vec![i as u8; 40], trace: None };
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let pair = Pair::open(directory.path(), Options::default(), false);
    let noted = directory.path().join("db/synced");
    let (synced, note) = runtime.block_on(async {
        pair.log.create(SIDE, 1).await.unwrap();
        pair.store.claim(LANE, partition, owner).await.unwrap();
        pair.log.append(SIDE, vec![record(0)]).await.unwrap();
        let before = (journal(directory.path()).1, std::fs::read(&noted).unwrap());
        let mut expected = None;
        for i in 1..=COMMITS {
            let journal = pair.store.journal();
            let appended = pair.log.append_before(SIDE, vec![record(i)], journal).await.unwrap();
            assert_eq!(appended[0].as_ref().unwrap().offset, Offset(i));
            let head = StoredHead { next: Offset(i), bytes: Vec::new() };
            let (states, derived) = (Vec::new(), Vec::new());
            let commit = Commit { lane: LANE, partition, owner, expected, head, states, derived };
            assert_eq!(pair.store.commit(&commit).await.unwrap(), Outcome::Committed);
            expected = Some(Offset(i));
        }
        before
    });
    let (_, end) = journal(directory.path());
    let mut heads = std::collections::BTreeSet::new();
    for cut in (synced..=end).step_by(37).chain([end]) {
        let after = cut_at(directory.path(), cut);
        // Nor need its later notes be on the disk.
        std::fs::write(after.path().join("db/synced"), &note).unwrap();
        let pair = Pair::open(after.path(), Options::default(), false);
        let (head, next) = runtime.block_on(async {
            let read = pair.store.read(LANE, partition, &[]).await.unwrap();
            (read.head.map_or(0, |head| head.next.0), pair.log.bounds(SIDE).await.unwrap()[0].next)
        });
        assert!(next.0 > head, "cut at {cut}: commit {head} is there, the log ends at {next}");
        heads.insert(head);
    }
    assert_eq!(heads.len() as u64, COMMITS + 1, "{heads:?}");
}
