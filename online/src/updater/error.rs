use std::fmt;

use record::{LaneId, LogId, Offset, Partition};

/// Where a log ends, as far as it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd(pub Option<Offset>);

impl fmt::Display for LogEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(end) => end.fmt(f),
            None => f.write_str("an end that it does not tell"),
        }
    }
}

/// Why the updater stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] event_log::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] online_store::Error),
    /// A port stayed unavailable for as long as the settings allow.
    #[error("{what}: given up after {attempts} attempts in {limit_ms} ms or more: {reason}")]
    GivenUp {
        /// What was tried.
        what: &'static str,
        /// How often.
        attempts: u32,
        /// How long it had to be tried.
        limit_ms: u64,
        /// What the last attempt said.
        reason: String,
    },
    /// What the store holds is no state of this fold.
    #[error(
        "lane {lane} partition {partition}: {source}: remove the lane \
         (`twofold lanes remove {lane}`) and update again, which rebuilds it from the log"
    )]
    State {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// What is wrong with the bytes.
        #[source]
        source: fold::Error,
    },
    /// The states were made from another log than the topic is now.
    #[error(
        "lane {lane} partition {partition} was built from log {stored}, but topic {topic} is log {found}: \
         the topic was created anew; restore the old log, or remove the lane \
         (`twofold lanes remove {lane}`) and update again"
    )]
    OtherLog {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// Topic.
        topic: String,
        /// The log of the head.
        stored: LogId,
        /// The log of the topic.
        found: LogId,
    },
    /// The states cover records that the log does not have.
    #[error(
        "lane {lane} partition {partition} covers topic {topic} up to {stored}, but the log ends at {end}: \
         the log lost records; restore it, or remove the lane (`twofold lanes remove {lane}`) and \
         update again"
    )]
    StoreAhead {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// Topic.
        topic: String,
        /// The head's position.
        stored: Offset,
        /// The log's end.
        end: Offset,
    },
    /// Another updater took the (lane, partition) over.
    #[error(
        "lane {lane} partition {partition} was claimed by another updater: run one updater per store, \
         or a group of them on Kafka"
    )]
    Fenced {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
    },
    /// Another updater, which is not in this one's group, keeps taking a partition.
    #[error(
        "topic {topic} partition {partition} was claimed {fenced} times by an updater that is not in this \
         one's group: give all updaters of one store the same `kafka.group`, and each store its own"
    )]
    Contested {
        /// Topic.
        topic: String,
        /// Partition.
        partition: Partition,
        /// How often.
        fenced: u32,
    },
    /// There was something to do and nothing was done.
    #[error(
        "source {of} partition {partition}: nothing was read or committed for {limit_ms} ms while {doing} at \
         {position}, though the log goes on to {end}: see whether log and store answer \
         (`updater.stall_limit_ms` says how long is too long)"
    )]
    Stalled {
        /// Source.
        of: String,
        /// Partition.
        partition: Partition,
        /// What was under way.
        doing: &'static str,
        /// First offset that is not covered.
        position: Offset,
        /// The log's end.
        end: LogEnd,
        /// How long.
        limit_ms: u64,
    },
    /// A drain was told to stop.
    #[error(
        "told to stop before the log's end was reached: what was committed stays, and the same command goes on \
         from there"
    )]
    CutShort,
    /// A batch kept moving under the updater: somebody else writes to the store.
    #[error(
        "lane {lane} partition {partition} was replayed {replays} times without a commit: is something else writing to the store?"
    )]
    Restless {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// How often.
        replays: u32,
    },
    /// A head moved during each of several scans, so that no digest could be made.
    #[error(
        "lane {lane} partition {partition} changed during each of {scans} scans: ask for digests when fewer commits come"
    )]
    Moving {
        /// Lane.
        lane: LaneId,
        /// Partition.
        partition: Partition,
        /// How many.
        scans: u32,
    },
    /// A benchmark's events were appended and not seen.
    #[error(
        "events that were appended are not visible after {limit:?}: try again with fewer (`--events`)"
    )]
    Invisible {
        /// How long they were waited for.
        limit: std::time::Duration,
    },
    /// A task of the updater panicked: a mistake in the program.
    #[error("a task of the updater panicked: {0}")]
    Panicked(String),
}
