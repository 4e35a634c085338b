use std::sync::Arc;

use batch::archive::{Archive, Settings, Summary, write};
use batch::{Error, Records};
use record::{Offset, Partition};

use super::memory::Memory;
use super::shop;

fn settings() -> Settings {
    Settings { records_max: 40, ..Settings::default() }
}

async fn run(log: &Memory, archive: &Archive) -> batch::archive::Report {
    let definitions = shop::definitions();
    let source = definitions.sources.iter().find(|s| s.name == "clickstream").unwrap();
    write(log, archive, "clickstream", Some(source), &settings(), &|_| ()).await.unwrap()
}

fn files(archive: &Archive) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut dirs = vec![archive.root().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn the_archive_holds_the_log_and_a_rerun_adds_only_what_is_new() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 1, 300, 20, 10, 1);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    let first = run(&log, &archive).await;
    assert!(first.rejected["malformed"] > 0, "{first:?}");
    let before = files(&archive);
    let again = run(&log, &archive).await;
    assert_eq!((again.records, again.files), (0, 0));
    assert_eq!(files(&archive), before);
    shop::fill(&log, 2, 50, 20, 10, 1);
    let more = run(&log, &archive).await;
    let after = files(&archive);
    assert!(before.iter().all(|file| after.contains(file)), "what was there is untouched");

    let (by_archive, by_log) = (Records::Archive(archive.clone()), Records::Log(log.clone()));
    let extent = by_archive.extent("clickstream").await.unwrap();
    assert_eq!(extent, by_log.extent("clickstream").await.unwrap());
    let mut count = 0;
    for (end, partition) in extent.ends.iter().zip(0..) {
        let mut reader = archive.partition("clickstream", Partition(partition), *end).unwrap();
        let mut records = Vec::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            records.extend(chunk);
        }
        assert_eq!(records, log.records("clickstream", partition));
        count += records.len() as u64;
        let half = Offset(end.0 / 2);
        let mut reader = archive.partition("clickstream", Partition(partition), half).unwrap();
        let mut records = 0;
        while let Some(chunk) = reader.next_chunk().unwrap() {
            records += chunk.len() as u64;
        }
        assert_eq!(records, half.0);
    }
    assert_eq!(count, first.records + more.records);
}

#[tokio::test]
async fn torn_missing_and_overlapping_files_are_named_with_the_remedy() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 1, 600, 20, 10, 1);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    run(&log, &archive).await;
    let parquet: Vec<_> = files(&archive)
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|e| e == "parquet"))
        .filter(|(path, _)| path.parent().unwrap().ends_with("p0"))
        .collect();
    let (path, bytes) = &parquet[1];
    assert_eq!(Summary::read(path).unwrap().bytes, bytes.len() as u64);
    let end = archive.extent("clickstream").unwrap().ends[0];
    let read = || {
        let mut reader = archive.partition("clickstream", Partition(0), end)?;
        while reader.next_chunk()?.is_some() {}
        Ok::<(), Error>(())
    };
    let mut torn = bytes.clone();
    torn.truncate(bytes.len() - 3);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    for damaged in [torn, flipped] {
        std::fs::write(path, damaged).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(
            error.contains(path.to_str().unwrap()) && error.contains("twofold archive"),
            "{error}"
        );
    }
    std::fs::write(path, bytes).unwrap();
    read().unwrap();
    std::fs::rename(path, path.with_extension("away")).unwrap();
    assert!(matches!(archive.extent("clickstream"), Err(Error::Gap { .. })));
    std::fs::rename(path.with_extension("away"), path).unwrap();
    let overlap = path.with_file_name(format!("{:020}-{:020}.parquet", 10, 50));
    std::fs::write(overlap, bytes).unwrap();
    assert!(matches!(archive.extent("clickstream"), Err(Error::Gap { .. })));
}
