//! Files of an archive that are not there any more: no command may take what is left for the whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use batch::Error;
use batch::archive::{Archive, Settings, write};
use record::{Offset, Partition};

use super::memory::Memory;
use super::shop;

const TOPIC: &str = "clickstream";

struct World {
    log: Arc<Memory>,
    archive: Archive,
    directory: tempfile::TempDir,
}

impl World {
    /// A log of which every partition has several files in the archive.
    async fn new() -> Self {
        let log = Arc::new(shop::log());
        shop::fill(&log, 1, 600, 20, 10, 1);
        let directory = tempfile::tempdir().unwrap();
        let world = Self { log, archive: Archive::new(directory.path()), directory };
        world.write().await.unwrap();
        world
    }

    async fn write(&self) -> Result<u64, Error> {
        let definitions = shop::definitions();
        let source = definitions.sources.iter().find(|source| source.topic == TOPIC).unwrap();
        let settings = Settings { records_max: 40, ..Settings::default() };
        let report =
            write(&*self.log, &self.archive, TOPIC, Some(source), &settings, &|_| ()).await?;
        Ok(report.files)
    }

    fn log_dir(&self) -> PathBuf {
        let mut dirs = std::fs::read_dir(self.directory.path().join(TOPIC)).unwrap();
        dirs.next().unwrap().unwrap().path()
    }

    /// Parquet files of partition 0 in order.
    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.log_dir().join("p0")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            paths.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
        files.sort();
        assert!(files.len() > 3);
        files
    }

    /// Everything that the archive holds, read through.
    fn read(&self) -> Result<u64, Error> {
        let mut records = 0;
        for (end, partition) in self.archive.extent(TOPIC)?.ends.into_iter().zip(0..) {
            let mut reader = self.archive.partition(TOPIC, Partition(partition), end)?;
            while let Some(chunk) = reader.next_chunk()? {
                records += chunk.len() as u64;
            }
        }
        Ok(records)
    }

    fn remove_with_summary(&self, path: &Path) {
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(path.with_extension("json")).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_gone_is_missed_wherever_it_lay_and_written_again() {
    let world = World::new().await;
    let whole = world.read().unwrap();
    for place in ["first", "middle", "last"] {
        let files = world.files();
        let at = match place {
            "first" => 0,
            "middle" => files.len() / 2,
            _ => files.len() - 1,
        };
        let bytes = std::fs::read(&files[at]).unwrap();
        std::fs::remove_file(&files[at]).unwrap();
        let error = world.read().unwrap_err().to_string();
        assert!(error.contains("twofold archive"), "{place}: {error}");
        assert_eq!(world.write().await.unwrap(), 1, "{place}");
        assert_eq!(std::fs::read(&files[at]).unwrap(), bytes, "{place}: the same bytes");
        assert_eq!((world.read().unwrap(), world.write().await.unwrap()), (whole, 0), "{place}");
    }
}

/// A run that was killed leaves a summary alone; the next one may cut the log elsewhere.
#[tokio::test]
async fn what_a_killed_run_left_is_not_read_and_is_cleared_by_the_next() {
    let world = World::new().await;
    let files = world.files();
    let last = files.last().unwrap();
    std::fs::remove_file(last).unwrap();
    assert!(matches!(world.read(), Err(Error::Damaged { path, .. }) if path == *last));
    shop::fill(&world.log, 2, 300, 20, 10, 1);
    world.write().await.unwrap();
    world.read().unwrap();
    assert!(!last.exists() && !last.with_extension("json").exists(), "its records lie elsewhere");
}

#[tokio::test]
async fn a_file_without_its_summary_is_missed_and_written_again() {
    let world = World::new().await;
    let whole = world.read().unwrap();
    let files = world.files();
    for file in [&files[1], files.last().unwrap()] {
        std::fs::remove_file(file.with_extension("json")).unwrap();
        let error = world.read().unwrap_err().to_string();
        assert!(error.contains("no summary") && error.contains("twofold archive"), "{error}");
        assert_eq!(world.write().await.unwrap(), 1);
        assert_eq!(world.read().unwrap(), whole);
    }
}

/// Between a file's summary and the file itself, beyond what was published, readers go on.
#[tokio::test]
async fn a_run_that_is_at_work_is_not_taken_for_damage() {
    let world = World::new().await;
    let whole = world.read().unwrap();
    shop::fill(&world.log, 2, 300, 20, 10, 1);
    let last = world.files().pop().unwrap();
    let end = world.archive.extent(TOPIC).unwrap().ends[0].0;
    let next = last.with_file_name(format!("{end:020}-{:020}.json", end + 9));
    std::fs::copy(last.with_extension("json"), &next).unwrap();
    assert_eq!(world.read().unwrap(), whole);
    world.archive.check(&*world.log).await.unwrap();
    world.write().await.unwrap();
    assert!(world.read().unwrap() > whole && !next.exists());
}

#[tokio::test]
async fn two_runs_do_not_write_at_once() {
    let world = World::new().await;
    let lock = std::fs::File::open(world.log_dir().join("lock")).unwrap();
    lock.lock().unwrap();
    let error = world.write().await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    drop(lock);
    world.write().await.unwrap();
}

#[tokio::test]
async fn partitions_that_are_gone_are_missed() {
    let world = World::new().await;
    let whole = world.read().unwrap();
    for partition in [0, 1, shop::PARTITIONS - 1] {
        let path = world.log_dir().join(format!("p{partition}"));
        std::fs::remove_dir_all(&path).unwrap();
        let error = world.read().unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        world.write().await.unwrap();
        assert_eq!(world.read().unwrap(), whole);
    }
    std::fs::remove_file(world.log_dir().join("log.json")).unwrap();
    assert!(matches!(world.read(), Err(Error::Damaged { .. })));
    world.write().await.unwrap();
    assert_eq!(world.read().unwrap(), whole);
}

#[tokio::test]
async fn a_log_that_has_lost_what_was_archived_is_refused() {
    let world = World::new().await;
    world.archive.check(&*world.log).await.unwrap();
    let shorter = Arc::new(shop::log());
    shop::fill(&shorter, 1, 500, 20, 10, 1);
    let error = world.archive.check(&*shorter).await.unwrap_err();
    assert!(matches!(error, Error::Behind { .. }), "{error}");
    // The files' own names tell as much when their Parquet is gone as well.
    world.files().iter().for_each(|file| std::fs::remove_file(file).unwrap());
    assert!(matches!(world.archive.check(&*shorter).await, Err(Error::Behind { .. })));
    let empty = Memory::new(&[], 0);
    let error = world.archive.check(&empty).await.unwrap_err();
    assert!(matches!(error, Error::OtherLog { .. }), "{error}");
    assert!(error.to_string().contains("not there"), "{error}");
    // The same name, another log.
    std::fs::rename(world.log_dir(), world.log_dir().with_file_name("07".repeat(16))).unwrap();
    assert!(matches!(world.archive.check(&*world.log).await, Err(Error::OtherLog { .. })));
}

#[tokio::test]
async fn a_hole_that_the_log_cannot_fill_any_more_is_an_error_that_names_it() {
    let world = World::new().await;
    let files = world.files();
    world.remove_with_summary(&files[1]);
    world.log.retain_from(TOPIC, 0, Offset(60));
    let error = world.write().await.unwrap_err();
    assert!(
        matches!(error, Error::Lost { expected: Offset(40), first: Offset(60), .. }),
        "{error}"
    );
}
