//! What a record of the log is: its position, its times, its partition.
//!
//! A crate of its own because definitions, fold, event log and online store all speak of
//! positions and times, and none of them may depend on another for it. It holds newtypes, the
//! one declared partitioner and what a topic may be called; it must never read a clock, decode a payload or do I/O.
//!
//! Start with [`Position`] and [`EventTime`].

mod id;
mod partitioner;
mod time;
mod topic;
mod trace;

pub use id::{LaneId, LogId, Offset, Partition, Position};
pub use partitioner::partition_for_key;
pub use time::{AppendTime, EventTime};
pub use topic::{TOPIC_NAME, is_topic_name};
pub use trace::{Hex, Trace};

/// A record as the log returns it. The bytes are the truth; typed columns come from the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition that holds the record.
    pub partition: Partition,
    /// Place in the partition; strictly increasing, gaps are allowed (Kafka leaves some).
    pub offset: Offset,
    /// The log's own clock at the append.
    pub append_time: AppendTime,
    /// Stream key, the argument of the partitioner.
    pub key: Vec<u8>,
    /// Original bytes.
    pub value: Vec<u8>,
    /// The request that it came from, where that was told; nothing is computed from it.
    pub trace: Option<Box<Trace>>,
}
