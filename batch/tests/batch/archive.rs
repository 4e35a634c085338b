use std::sync::Arc;
use std::time::Duration;

use batch::archive::{Archive, Frozen, Settings, Summary, Tiered, write};
use batch::history::History;
use batch::{Error, Extent, Records};
use event_log::EventLog;
use record::{EventTime, Offset, Partition};

use super::memory::{Memory, Mood};
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
    let grows = |path: &std::path::Path| path.ends_with("log.json");
    let kept = |file: &(std::path::PathBuf, Vec<u8>)| grows(&file.0) || after.contains(file);
    assert!(before.iter().all(kept), "what was there is untouched");

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
        while let Ok(Some(_)) = reader.next_chunk() {}
        // Who asks again after an error gets nothing that lies behind.
        reader.next_chunk().map(|more| assert!(more.is_none()))
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
    assert!(matches!(archive.extent("clickstream"), Err(Error::Damaged { .. })));
    std::fs::rename(path.with_extension("away"), path).unwrap();
    let overlap = path.with_file_name(format!("{:020}-{:020}.parquet", 10, 50));
    std::fs::write(&overlap, bytes).unwrap();
    std::fs::copy(path.with_extension("json"), overlap.with_extension("json")).unwrap();
    assert!(matches!(archive.extent("clickstream"), Err(Error::Gap { .. })));
}

#[tokio::test]
async fn a_frozen_archive_is_the_log_up_to_its_ends_and_takes_nothing() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 3, 300, 20, 10, 2);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    run(&log, &archive).await;
    let whole = archive.extent("clickstream").unwrap();
    let ends: Vec<Offset> = whole.ends.iter().map(|end| Offset(end.0 * 2 / 3)).collect();
    let topics = [("clickstream".to_owned(), Extent { ends: ends.clone(), ..whole })].into();
    let frozen = Frozen::new(archive, topics, log.clone());

    assert_eq!(frozen.topic("clickstream").await.unwrap(), log.topic("clickstream").await.unwrap());
    for ((bounds, end), partition) in
        frozen.bounds("clickstream").await.unwrap().iter().zip(&ends).zip((0..).map(Partition))
    {
        assert_eq!((bounds.first, bounds.next), (Offset(0), *end));
        let from = Offset(end.0 / 3);
        let mut reader = frozen.reader("clickstream", partition, from).await.unwrap();
        let mut read = Vec::new();
        while reader.position() < *end {
            let records = reader.next(7, Duration::ZERO).await.unwrap();
            assert!(records.len() <= 7);
            read.extend(records);
        }
        assert_eq!(reader.next(7, Duration::ZERO).await.unwrap(), [], "it never moves on");
        let all = log.records("clickstream", partition.0);
        assert_eq!(read, all[from.0 as usize..end.0 as usize]);
        let beyond = frozen.reader("clickstream", partition, end.next()).await;
        assert!(matches!(beyond, Err(event_log::Error::OutOfRange { .. })));
    }
    let record = event_log::NewRecord { key: b"v1".to_vec(), value: b"{}".to_vec(), trace: None };
    let refused = frozen.append("clickstream", vec![record]).await.unwrap_err();
    assert!(refused.to_string().contains("archive"), "{refused}");
    assert!(frozen.create("clickstream", 9).await.is_err());
    let of_others = frozen.bounds("catalog").await.unwrap();
    assert_eq!(of_others, log.bounds("catalog").await.unwrap(), "the log beneath");
}

#[tokio::test]
async fn a_cut_is_before_the_first_event_that_counts_and_is_not_earlier() {
    let log = Arc::new(shop::log());
    let at = |minute: i64| shop::START_US + minute * 60 * shop::SECOND_US;
    let append = |minute: i64| at(minute) / 1000;
    let click = |id: &str, minute: i64, appended: i64| {
        shop::click(&log, id, "v1", "i1", "view", at(minute), append(appended))
    };
    click("a", 1, 1);
    // So far in the future that it is no event, and so late that it is none either.
    click("future", 10_000, 2);
    click("b", 3, 3);
    click("late", -1_000, 3);
    let (partition, first_after) = click("c", 5, 5);
    click("d", 4, 5);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    run(&log, &archive).await;
    let definitions = shop::definitions();
    let source = definitions.sources.iter().find(|s| s.name == "clickstream").unwrap();
    let end = |cut: i64| {
        let extent = archive.extent_before(source, EventTime(cut)).unwrap();
        extent.ends[partition as usize].0
    };
    assert_eq!(end(at(5)), first_after, "what comes later in the log may know the cut");
    assert_eq!(end(at(5) + 1), first_after + 2);
    assert_eq!(end(at(1)), 0);
}

#[tokio::test]
async fn what_the_log_has_dropped_is_read_from_the_archive() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 4, 300, 20, 10, 1);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    run(&log, &archive).await;
    shop::fill(&log, 5, 60, 20, 10, 1);
    let tiered = Tiered::new(archive, log.clone());
    let archived = |partition: u32| 3 * log.records("clickstream", partition).len() as u64 / 4;
    for partition in 0..shop::PARTITIONS as u32 {
        let all = log.records("clickstream", partition);
        log.retain_from("clickstream", partition, Offset(archived(partition) / 2));
        let bounds = tiered.bounds("clickstream").await.unwrap()[partition as usize];
        assert_eq!((bounds.first, bounds.next), (Offset(0), Offset(all.len() as u64)));
        for from in [0, 5, archived(partition) / 2, archived(partition)] {
            let (partition, from) = (Partition(partition), Offset(from));
            let mut reader = tiered.reader("clickstream", partition, from).await.unwrap();
            let mut read = Vec::new();
            while reader.position() < bounds.next {
                read.extend(reader.next(11, Duration::ZERO).await.unwrap());
            }
            assert_eq!(read, all[from.0 as usize..]);
        }
    }
    // What neither holds stays lost, and the log says so.
    let end = log.records("clickstream", 0).last().unwrap().offset;
    log.retain_from("clickstream", 0, end);
    assert_eq!(tiered.bounds("clickstream").await.unwrap()[0].first, end);
    assert!(tiered.reader("clickstream", Partition(0), Offset(0)).await.is_err());
}

#[tokio::test]
async fn a_slow_log_is_archived_whole_and_its_gaps_are_passed() {
    let log = Arc::new(shop::log());
    shop::fill(&log, 6, 300, 20, 10, 1);
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [prompt, hesitant] = dirs.each_ref().map(|dir| Archive::new(dir.path()));
    let whole = run(&log, &prompt).await;
    log.set_mood(Mood::Hesitant);
    assert_eq!(run(&log, &hesitant).await, whole);
    assert_eq!(run(&log, &hesitant).await.records, 0);
    let contents = |archive: &Archive| {
        let relative = |(path, bytes): (std::path::PathBuf, Vec<u8>)| {
            (path.strip_prefix(archive.root()).unwrap().to_owned(), bytes)
        };
        files(archive).into_iter().map(relative).collect::<Vec<_>>()
    };
    assert_eq!(contents(&hesitant), contents(&prompt));

    log.set_mood(Mood::WithGaps);
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    let report = run(&log, &archive).await;
    let mut count = 0;
    for (bounds, partition) in log.bounds("clickstream").await.unwrap().iter().zip(0..) {
        let end = archive.extent("clickstream").unwrap().ends[partition as usize];
        assert_eq!(end, bounds.next, "the gap at the end is behind the archive");
        let mut reader = archive.partition("clickstream", Partition(partition), end).unwrap();
        let mut read = Vec::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            read.extend(chunk);
        }
        let mut there = log.records("clickstream", partition);
        there.pop();
        there.retain(|record| record.offset.0 % 5 != 4);
        assert_eq!(read, there);
        count += read.len() as u64;
    }
    assert_eq!(report.records, count);
}

#[tokio::test]
async fn a_log_that_stands_still_is_an_error_and_no_file_says_more_than_was_read() {
    const AT: u64 = 55;
    let log = Arc::new(shop::log());
    shop::fill(&log, 7, 600, 20, 10, 1);
    log.set_mood(Mood::StallsAt(AT));
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::new(dir.path());
    let definitions = shop::definitions();
    let source = definitions.sources.iter().find(|s| s.name == "clickstream").unwrap();
    let stalled = write(&*log, &archive, "clickstream", Some(source), &settings(), &|_| ())
        .await
        .unwrap_err();
    let is_there = |error: &Error| matches!(error, Error::Stalled { position: Offset(AT), .. });
    assert!(is_there(&stalled), "{stalled}");
    assert!(stalled.to_string().contains("stands still at offset 55"), "{stalled}");
    let written = files(&archive);
    assert!(!written.is_empty(), "what was read in whole files stays");
    for (path, _) in written.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "parquet")) {
        assert!(Summary::read(path).unwrap().next <= AT, "{path:?}");
    }
    let engine = super::values::engine();
    let records = Records::Log(log.clone());
    let read = History::read(&engine, &records, &definitions, Arc::new(|_| ()));
    let error = read.await.unwrap_err().to_string();
    assert!(error.contains("stands still at offset 55"), "{error}");

    // It goes on where it stood.
    log.set_mood(Mood::Hesitant);
    let rest = run(&log, &archive).await;
    let all =
        (0..shop::PARTITIONS as u32).map(|p| log.records("clickstream", p).len()).sum::<usize>();
    let parts = written.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "parquet"));
    let before: u64 = parts.map(|(path, _)| Summary::read(path).unwrap().records).sum();
    assert_eq!(rest.records + before, all as u64);
    let hesitant = History::read(&engine, &records, &definitions, Arc::new(|_| ())).await.unwrap();
    log.set_mood(Mood::Prompt);
    let prompt = History::read(&engine, &records, &definitions, Arc::new(|_| ())).await.unwrap();
    assert_eq!((hesitant.events, hesitant.ledger), (prompt.events, prompt.ledger));
}

/// Else whoever appends before a commit to the same journal would wait for the disk.
#[tokio::test]
async fn the_journal_that_an_append_has_to_be_before_reaches_the_log_beneath() {
    let (log, dir) = (Arc::new(shop::log()), tempfile::tempdir().unwrap());
    let archive = Archive::new(dir.path());
    let options =
        embedded::Options { sync: embedded::SyncMode::Never, ..embedded::Options::default() };
    let database = embedded::Database::open_with(&dir.path().join("db"), options).unwrap();
    let over: Arc<dyn EventLog> = log.clone();
    let logs: [Box<dyn EventLog>; 2] = [
        Box::new(Tiered::new(archive.clone(), over.clone())),
        Box::new(Frozen::new(archive, Default::default(), over)),
    ];
    for over in logs {
        let journal = Some(database.journal());
        over.append_before("clickstream", Vec::new(), journal).await.unwrap();
        over.append("clickstream", Vec::new()).await.unwrap();
        assert_eq!(std::mem::take(&mut *log.journals.lock().unwrap()), [journal, None]);
    }
}
