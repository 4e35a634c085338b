//! Data sets as records: one line is one event of a source, or a dead letter with a reason.
//!
//! A line is parsed exactly (times as decimals, never through a float) and rewritten as the source's
//! own JSON; the source's decoder has the last word, so that what is appended is what the fold takes.
//! All lines are read, sorted by (event time, file, line), and only then appended: a data set in
//! another order would be nearly all late.

mod lateness;
mod lines;
mod refused;
mod taobao;
mod time;
mod write;
mod yoochoose;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

pub(crate) use lateness::count_late;
pub(crate) use lines::read;
pub(crate) use refused::tell;
pub(crate) use write::append;

/// The most events of one import: it sorts them in memory.
pub(crate) const EVENTS_MAX: usize = 20_000_000;

/// An event that can be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Event time in microseconds.
    pub(crate) at_us: i64,
    /// (File, line), from 0 and from 1: the second key of the order.
    pub(crate) place: (usize, u64),
    /// Stream key.
    pub(crate) key: Vec<u8>,
    /// JSON object with the source's columns.
    pub(crate) value: Vec<u8>,
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeadLetter {
    /// `file digest:line`: the same each time that the file is imported.
    pub(crate) id: String,
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: u64,
    pub(crate) reason: &'static str,
    /// What was found and what was expected.
    pub(crate) detail: String,
    /// As it stands in the file; what is no UTF-8 is replaced.
    pub(crate) original: String,
}

/// What the files held.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) events: Vec<Event>,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// Empty lines.
    pub(crate) blank: u64,
    /// Lines that name the columns.
    pub(crate) headers: u64,
}

/// What `import --json` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// Lines that were neither header nor blank.
    pub(crate) records: u64,
    /// Empty lines, which were skipped.
    pub(crate) blank: u64,
    /// Lines that name the columns, which were skipped.
    pub(crate) headers: u64,
    pub(crate) appended: u64,
    pub(crate) dead_lettered: u64,
    /// Dead letters by reason.
    pub(crate) reasons: BTreeMap<&'static str, u64>,
    /// Events behind their partition's watermark.
    pub(crate) late: u64,
}

/// One line as columns of the clickstream, before it is JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) at_us: i64,
    pub(crate) visitor: &'a str,
    pub(crate) session: Option<&'a str>,
    pub(crate) kind: &'static str,
    pub(crate) item: &'a str,
    pub(crate) category: Option<&'a str>,
}

/// Why a line is no event: a reason from a closed set, and what was expected.
pub(crate) type Refusal = (&'static str, String);

/// Files to import.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}
