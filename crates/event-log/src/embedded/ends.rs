//! Where the partitions ended when the log was open last, in a file beside the database: written at each
//! opening, at the end, and while records come in every few seconds, so that a crash leaves little unsaid.
//!
//! A database whose journal was cut short, or that somebody replaced by an older copy, opens as a smaller one:
//! to it, a tail that is gone was never written. Every end in this file was durable, and a log only grows,
//! so a log that ends before has lost records.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use ::embedded::SyncMode;
use record::Partition;

use super::topics::{TopicState, Topics};
use crate::Error;

/// In the data directory.
const FILE: &str = "log-ends.txt";
/// More than any number of topics and partitions comes to.
const BYTES_MAX: u64 = 16 << 20;
const HEADER: &str = "twofold log ends 1";

/// The file's entries: topic → its log and, by partition, its ends.
type Ends = BTreeMap<String, (String, Vec<u64>)>;

/// The file of a log; a private realm, which is thrown away, has none.
pub(super) struct LastEnds {
    path: Option<PathBuf>,
}

/// That the whole database is gone, where a directory still says how far its log went.
///
/// # Errors
/// [`Error::Lost`].
pub fn check_without_database(directory: &Path) -> Result<(), Error> {
    let path = directory.join(FILE);
    match path.is_file() {
        true => Err(Error::Lost { what: "`db` is not there".to_owned(), path }),
        false => Ok(()),
    }
}

impl LastEnds {
    /// Compares a log that was just opened with what it was, and notes what it is.
    ///
    /// # Errors
    /// [`Error::Lost`]; or when the file cannot be read.
    pub(super) fn check(topics: &Topics) -> Result<Self, Error> {
        let database = &topics.database;
        if database.sync_mode() == SyncMode::Never {
            return Ok(Self { path: None });
        }
        let path = database.directory().join(FILE);
        let was = read(&path)?;
        for (topic, (log, ends)) in &was {
            let lost = |what: String| {
                Err(Error::Lost { what: format!("topic {topic} {what}"), path: path.clone() })
            };
            let Ok(state) = topics.get(topic) else { return lost("is not there".to_owned()) };
            if state.topic.log.to_string() != *log {
                return lost(format!("is another log ({}, was {log})", state.topic.log));
            }
            for ((tail, was), partition) in state.tails.iter().zip(ends).zip((0..).map(Partition)) {
                let end = tail.borrow().next.0;
                if end < *was {
                    return lost(format!("partition {partition} ends at {end}, not at {was}"));
                }
            }
        }
        let ends = Self { path: Some(path) };
        if now(topics) != was {
            ends.note(topics);
        }
        Ok(ends)
    }

    /// Notes where the log ends. A failure leaves an earlier note, which holds as well.
    pub(super) fn note(&self, topics: &Topics) {
        let Some(path) = &self.path else { return };
        if let Err(error) = write(path, &now(topics)) {
            tracing::warn!(%error, file = %path.display(), "where the log ends is not noted");
        }
    }

    /// Forgets a topic that is about to be deleted.
    ///
    /// # Errors
    /// When the system refuses it: the deletion would be taken for a loss.
    pub(super) fn forget(&self, topics: &Topics, topic: &str) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut ends = now(topics);
        ends.remove(topic);
        write(path, &ends)
            .map_err(|error| Error::Unavailable { reason: format!("{}: {error}", path.display()) })
    }
}

fn now(topics: &Topics) -> Ends {
    let ends = |state: &TopicState| state.tails.iter().map(|tail| tail.borrow().next.0).collect();
    let all = topics.all();
    let entry = |state: &TopicState| (state.topic.log.to_string(), ends(state));
    all.iter().map(|state| (state.name.clone(), entry(state))).collect()
}

fn read(path: &Path) -> Result<Ends, Error> {
    let failed =
        |error: io::Error| Error::Unavailable { reason: format!("{}: {error}", path.display()) };
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ends::new()),
        found => found.map_err(failed)?,
    };
    // Neither a pipe, which would be waited for, nor anything that memory does not hold.
    if !found.is_file() || found.len() > BYTES_MAX {
        return Err(damaged(path));
    }
    let text = String::from_utf8(std::fs::read(path).map_err(failed)?);
    text.ok().as_deref().and_then(parse).ok_or_else(|| damaged(path))
}

fn damaged(path: &Path) -> Error {
    Error::Damaged {
        at: path.display().to_string(),
        what: "not what the log wrote: restore the data directory, or remove this file if the log is whole",
    }
}

fn parse(text: &str) -> Option<Ends> {
    let mut lines = text.strip_suffix('\n')?.lines();
    lines.next().filter(|header| *header == HEADER)?;
    let mut found = Ends::new();
    for line in lines {
        let mut words = line.split(' ');
        let (topic, log) = (words.next()?, words.next()?);
        let ends = words.map(|end| end.parse().ok()).collect::<Option<_>>()?;
        found.insert(topic.to_owned(), (log.to_owned(), ends));
    }
    Some(found)
}

fn write(path: &Path, ends: &Ends) -> io::Result<()> {
    let mut text = format!("{HEADER}\n");
    for (topic, (log, ends)) in ends {
        write!(text, "{topic} {log}").expect("a string takes everything");
        ends.iter().for_each(|end| write!(text, " {end}").expect("a string takes everything"));
        text.push('\n');
    }
    let unfinished = path.with_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_torn_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE);
        assert!(read(&path).unwrap().is_empty());
        let ends = Ends::from([
            ("clickstream".to_owned(), ("ab12".to_owned(), vec![3, 0, 70_000])),
            ("served".to_owned(), ("cd34".to_owned(), vec![0])),
        ]);
        write(&path, &ends).unwrap();
        assert_eq!(read(&path).unwrap(), ends);
        let text = std::fs::read_to_string(&path).unwrap();
        for length in 0..text.len() {
            std::fs::write(&path, &text[..length]).unwrap();
            let whole = text[..length].ends_with('\n') && length >= HEADER.len();
            assert_eq!(read(&path).is_ok(), whole, "{length} bytes");
        }
        std::fs::write(&path, b"\xff\n").unwrap();
        assert!(matches!(read(&path), Err(Error::Damaged { .. })));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path), Err(Error::Damaged { .. })));
    }
}
