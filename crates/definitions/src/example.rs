//! Golden examples: events in, feature values out, written beside the definition that they explain.

use std::fmt;

use record::{AppendTime, EventTime};

/// One example of one group, from a `*.examples.toml`. `twofold check` folds the events and compares.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// File that it stands in.
    pub file: String,
    /// Line of its `[[examples]]`.
    pub line: usize,
    /// What it shows.
    pub name: String,
    /// Name of the group.
    pub group: String,
    /// Key of the entity that is read.
    pub key: String,
    /// When it is read.
    pub as_of: EventTime,
    /// Records in the order of the log, all in one partition of a log that has one.
    pub events: Vec<ExampleEvent>,
    /// Features with the values expected; features that are not named are not compared.
    pub expected: Vec<(String, Expected)>,
}

/// One record of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleEvent {
    /// Append time; the event time, rounded up to milliseconds, where the file names none.
    pub append_time: AppendTime,
    /// Stream key: the value of the source's key column.
    pub key: String,
    /// The record's bytes: a JSON object.
    pub json: String,
}

/// A value that an example expects.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// `{ null = true }`.
    Null,
    /// An integer.
    Int(i64),
    /// A float; compared bit for bit.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A string.
    Text(String),
    /// A table of integers, sorted by key; `{ entries = { … }, complete = false }` where keys are missing.
    Map {
        /// Entries sorted by key.
        entries: Vec<(String, i64)>,
        /// Whether an absent key means zero.
        complete: bool,
    },
    /// An array of `{ item, at, tag }`, oldest first.
    Sequence(Vec<(String, EventTime, String)>),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("{ null = true }"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Map { entries, complete } => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, count)| format!("{key:?} = {count}")).collect();
                let entries = format!("{{ {} }}", entries.join(", "));
                match complete {
                    true => f.write_str(&entries),
                    false => write!(f, "{{ entries = {entries}, complete = false }}"),
                }
            }
            Self::Sequence(events) => {
                let event = |(item, at, tag): &(String, EventTime, String)| {
                    format!("{{ item = {item:?}, at = {}, tag = {tag:?} }}", at.0)
                };
                write!(f, "[{}]", events.iter().map(event).collect::<Vec<_>>().join(", "))
            }
        }
    }
}
