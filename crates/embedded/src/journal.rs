//! Reads the journals before the library does, and changes nothing.
//!
//! The library believes a batch's sequence number, which no checksum covers, and where it finds no batch it cuts
//! the journal off, whatever follows. So this looks first: every batch has its checksum, its sequence number
//! lies between its neighbours' (their [stamps](crate::stamp) have checksums), no number is missing between two
//! batches, and the last one is not before what was synced ([`crate::synced`]). What then is still behind the
//! last batch is what a crash leaves: it was never synced.
//!
//! A sequence number that is wrong and keeps its order does no harm, because the library compares them only.

mod batches;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use batches::{Batch, Batches};

use crate::Error;
use crate::synced::Note;

/// More sequence numbers than tables take in the moment in which a batch waits for the journal.
const SEQNO_SLACK: u64 = 1 << 20;

/// What the journals hold.
pub(crate) struct Whole {
    /// Number of the last batch that has one, and of the journal that it lies in.
    last: Option<(u64, u64)>,
    /// What was synced.
    synced: Note,
    /// Where the whole batches end.
    end: (PathBuf, u64),
    /// Where, in a journal, whole batches end and something else follows.
    torn: Vec<(PathBuf, u64)>,
}

/// Looks at the journals, in their order. `synced` is what was synced for certain.
///
/// # Errors
/// [`Error::Journal`] says where something is wrong.
pub(crate) fn check(
    directory: &Path,
    journals: &[(u64, PathBuf)],
    synced: Note,
) -> Result<Whole, Error> {
    let damaged = |place: Place<'_>, what| damaged(directory, place, what);
    let (first, last) = (&journals[0], &journals[journals.len() - 1]);
    let mut order = Order::default();
    let (mut torn, mut holder) = (Vec::new(), first.0);
    // Where the batch before begins, and where it ends.
    let (mut before, mut end): (Option<Place<'_>>, Option<Place<'_>>) = (None, None);
    for (next, (id, path)) in (first.0..).zip(journals) {
        let path = path.as_path();
        if *id != next {
            return Err(damaged((path, 0), "is not the next one: a journal before it is gone,"));
        }
        let io = |error| Error::io(path, error);
        let mut batches = Batches::open(path).map_err(io)?;
        end = end.or(Some((path, 0)));
        while let Some(batch) = batches.next().map_err(io)? {
            let this = Some((path, batch.at));
            let (place, what) = match order.take(&batch) {
                Ok(()) => {
                    holder = if batch.stamp.is_some() { *id } else { holder };
                    (before, end) = (this, Some((path, batches.end())));
                    continue;
                }
                Err(Wrong::Own) => (this, SEQNO),
                Err(Wrong::Before) => (before, SEQNO),
                Err(Wrong::Gap) => (torn.last().copied().or(end), LOST),
            };
            return Err(damaged(place.expect("a batch was read"), what));
        }
        if batches.is_torn().map_err(io)? {
            torn.push((path, batches.end()));
        }
        // A new one is begun when the one before is long.
        if before.is_none() && *id != last.0 {
            return Err(damaged((path, 0), LOST));
        }
    }
    let lacks = match order.number {
        Some(last) => last < synced.number,
        // The journal that had it is gone, if all of it is in tables.
        None => synced.journal.is_some_and(|journal| first.0 <= journal),
    };
    let end = torn.last().copied().or(end).expect("there is a journal");
    if lacks {
        return Err(damaged(end, LOST));
    }
    let owned = |(path, at): Place<'_>| (path.to_owned(), at);
    let last = order.number.map(|number| (number, holder));
    Ok(Whole { last, synced, end: owned(end), torn: torn.into_iter().map(owned).collect() })
}

fn damaged(directory: &Path, (path, at): Place<'_>, what: &'static str) -> Error {
    let file = path.strip_prefix(directory).unwrap_or(path).to_owned();
    Error::Journal { path: directory.to_owned(), file, at, what }
}

/// A journal, and an offset in it.
type Place<'a> = (&'a Path, u64);

const SEQNO: &str = "has a batch with another sequence number than it was written with";
const LOST: &str = "lacks a batch that was written and synced";

impl Whole {
    /// What is synced, now that the library says which batch is the last one, from journals and tables.
    ///
    /// # Errors
    /// [`Error::Journal`] when that is not all of it.
    pub(crate) fn note(&self, directory: &Path, number: u64) -> Result<Note, Error> {
        if number < self.synced.number {
            return Err(damaged(directory, (&self.end.0, self.end.1), LOST));
        }
        let journal = self.last.filter(|(last, _)| *last == number).map(|(_, journal)| journal);
        Ok(Note { number, journal })
    }

    /// Says, and cuts off, what is no whole batch: the library might refuse it.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn cut(&self) -> Result<(), Error> {
        for (path, end) in &self.torn {
            tracing::warn!(
                journal = %path.display(),
                at = end,
                "its end is no whole write and is cut off: what was on its way when the machine stopped"
            );
            cut(path, *end).map_err(|error| Error::io(path, error))?;
        }
        Ok(())
    }
}

fn cut(path: &Path, end: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(end)?;
    file.sync_all()
}

/// What the batches so far ask of the next one.
#[derive(Default)]
struct Order {
    seqno: Option<u64>,
    /// Of the last one that has a number.
    number: Option<u64>,
}

enum Wrong {
    /// Its own sequence number.
    Own,
    /// That of the batch before.
    Before,
    /// There is no batch where one was.
    Gap,
}

impl Order {
    fn take(&mut self, batch: &Batch) -> Result<(), Wrong> {
        let before = self.seqno.replace(batch.seqno);
        if let Some(stamp) = batch.stamp {
            let taken = batch.seqno.checked_sub(stamp.seqno_min);
            if taken.is_none_or(|taken| taken > SEQNO_SLACK) {
                return Err(Wrong::Own);
            }
            if before.is_some_and(|before| stamp.seqno_min <= before) {
                return Err(Wrong::Before);
            }
            let number = self.number.replace(stamp.number);
            if number.is_some_and(|number| stamp.number != number + 1) {
                return Err(Wrong::Gap);
            }
        }
        match before.is_some_and(|before| batch.seqno <= before) {
            true => Err(Wrong::Own),
            false => Ok(()),
        }
    }
}
