//! The number of the last batch that was synced, and the journal from which on it lies, in a file beside the
//! journals: one small write after each sync, without a sync of its own. What it says was true when it was
//! written, so at worst it says too little, after a power failure.
//!
//! The journal cannot say it itself: of its last batches, one that was synced and is damaged looks like one that
//! never was whole. And where no journal has a batch, the one that had this may be gone because all of it is in
//! tables, which only its number tells.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// Within the database.
const FILE: &str = "synced";
/// Of the file, in bytes: less than a disk writes at once.
const BYTES: usize = 59;

/// What is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    /// Number of the last batch; 0: none.
    pub(crate) number: u64,
    /// It lies in the journal of this number or a later one; `None`: in tables, or nobody knows.
    pub(crate) journal: Option<u64>,
}

/// In which journal a batch lies at the earliest.
pub(crate) struct Mark {
    /// Batches after this one lie in `journal` or a later one.
    pub(crate) number: u64,
    /// The journal that was written to when that one was the last.
    pub(crate) journal: u64,
    /// Where those lie that were not synced then, the marked one included.
    pub(crate) before: Option<u64>,
}

impl Mark {
    /// A journal that a batch which is not noted yet does not lie before.
    pub(crate) fn journal_of(&self, number: u64) -> Option<u64> {
        if number > self.number { Some(self.journal) } else { self.before }
    }
}

/// The file, while the database is open.
pub(crate) struct Synced {
    path: PathBuf,
    file: File,
}

/// What the file of a database says.
///
/// # Errors
/// When it is not there, or not what was written; when the system refuses.
pub(crate) fn read(directory: &Path, files: &Path) -> Result<Note, Error> {
    let path = files.join(FILE);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::files(directory, &path, "is not there"));
        }
        text => text.map_err(|error| Error::io(&path, error))?,
    };
    match parse(&text).filter(|note| text == line(*note)) {
        Some(note) => Ok(note),
        None => Err(Error::files(directory, &path, "is not what was written")),
    }
}

fn parse(line: &[u8]) -> Option<Note> {
    let number = |at: usize| str::from_utf8(line.get(at..at + 20)?).ok()?.parse().ok();
    Some(Note { number: number(0)?, journal: u64::checked_sub(number(21)?, 1) })
}

impl Synced {
    /// For a database that is being created.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn create(files: &Path, note: Note) -> Result<(), Error> {
        let path = files.join(FILE);
        let written = File::create(&path)
            .and_then(|mut file| file.write_all(&line(note)).and_then(|()| file.sync_all()));
        written.map_err(|error| Error::io(&path, error))
    }

    /// Of a database that is synced as far as `note` says.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(files: &Path, note: Note) -> Result<Self, Error> {
        let path = files.join(FILE);
        let io = |error| Error::io(&path, error);
        let file = File::options().write(true).open(&path).map_err(io)?;
        let synced = Self { path: path.clone(), file };
        synced.note(note);
        Ok(synced)
    }

    /// Notes the last batch of a sync. A failure leaves an earlier note, which holds as well.
    pub(crate) fn note(&self, note: Note) {
        if let Err(error) = self.file.write_all_at(&line(note), 0) {
            tracing::warn!(%error, file = %self.path.display(), "what is synced is not noted");
        }
    }
}

/// The number, the journal's plus one, and their XXH3.
fn line(note: Note) -> [u8; BYTES] {
    let journal = note.journal.map_or(0, |journal| journal.saturating_add(1));
    let digits = format!("{:020} {journal:020}", note.number);
    let line = format!("{digits} {:016x}\n", xxh3_64(digits.as_bytes()));
    line.into_bytes().try_into().expect("20, 20 and 16 digits, two spaces and an end of line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_a_flipped_bit_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let error = read(root.path(), root.path()).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains("synced is not there"), "{error}");
        let notes = [(7, None), (u64::MAX, Some(u64::MAX - 1)), (12_345, Some(0))];
        let notes = notes.map(|(number, journal)| Note { number, journal });
        Synced::create(root.path(), notes[2]).unwrap();
        let synced = Synced::open(root.path(), notes[0]).unwrap();
        assert_eq!(read(root.path(), root.path()).unwrap(), notes[0]);
        synced.note(notes[1]);
        assert_eq!(read(root.path(), root.path()).unwrap(), notes[1]);
        Synced::open(root.path(), notes[2]).unwrap();
        assert_eq!(read(root.path(), root.path()).unwrap(), notes[2]);
        let path = root.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, flipped).unwrap();
            let error = read(root.path(), root.path()).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains("synced"), "{error}");
        }
    }
}
