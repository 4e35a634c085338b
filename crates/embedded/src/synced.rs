//! The number of the last batch that was synced, in a file beside the journals: one small write after each sync,
//! without a sync of its own. What it says was true when it was written, so at worst it says too little, after
//! a power failure.
//!
//! The journal cannot say it itself: of its last batches, one that was synced and is damaged looks like one that
//! never was whole.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::Error;

/// Within the database.
const FILE: &str = "synced";
/// Of the file, in bytes: less than a disk writes at once.
const BYTES: usize = 38;

/// The file, while the database is open.
pub(crate) struct Synced {
    path: PathBuf,
    file: File,
}

/// What the file of a database says, if there is one.
///
/// # Errors
/// When it is not what was written; when the system refuses.
pub(crate) fn read(directory: &Path, files: &Path) -> Result<Option<u64>, Error> {
    let path = files.join(FILE);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| Error::io(&path, error))?,
    };
    let number = text.get(..20).and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
    match number.filter(|number| text == line(*number)) {
        Some(number) => Ok(Some(number)),
        None => Err(Error::files(directory, &path, "is not what was written")),
    }
}

impl Synced {
    /// Of a database that is synced as far as `number`.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(files: &Path, number: u64) -> Result<Self, Error> {
        let path = files.join(FILE);
        let io = |error| Error::io(&path, error);
        if !path.try_exists().map_err(io)? {
            let unfinished = files.join("synced.new");
            let mut file = File::create(&unfinished).map_err(io)?;
            file.write_all(&line(number)).and_then(|()| file.sync_all()).map_err(io)?;
            std::fs::rename(&unfinished, &path).map_err(io)?;
        }
        let file = File::options().write(true).open(&path).map_err(io)?;
        let synced = Self { path: path.clone(), file };
        synced.note(number);
        Ok(synced)
    }

    /// Notes the last batch of a sync. A failure leaves an earlier note, which holds as well.
    pub(crate) fn note(&self, number: u64) {
        if let Err(error) = self.file.write_all_at(&line(number), 0) {
            tracing::warn!(%error, file = %self.path.display(), "what is synced is not noted");
        }
    }
}

fn line(number: u64) -> [u8; BYTES] {
    let digits = format!("{number:020}");
    let line = format!("{digits} {:016x}\n", xxh3_64(digits.as_bytes()));
    line.into_bytes().try_into().expect("20 digits, a space, 16 digits and an end of line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_and_a_flipped_bit_is_refused() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path(), root.path()).unwrap(), None);
        let synced = Synced::open(root.path(), 7).unwrap();
        assert_eq!(read(root.path(), root.path()).unwrap(), Some(7));
        synced.note(u64::MAX);
        assert_eq!(read(root.path(), root.path()).unwrap(), Some(u64::MAX));
        Synced::open(root.path(), 12_345).unwrap();
        assert_eq!(read(root.path(), root.path()).unwrap(), Some(12_345));
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
