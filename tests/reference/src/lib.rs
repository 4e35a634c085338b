//! The oracle: a naive fold, written from the meaning of the words. A list of events per key, no tiles,
//! no state, nothing forgotten.
//!
//! A crate of its own because the fold's laws and the tests of whole systems under faults both judge by
//! it. It takes nothing of `fold`, not even the types of its answers, so that a mistake of the fold's is
//! not repeated here. For tests only.
//!
//! Start with [`admit`] and [`value`]; [`Broken`] is how a test sees that the comparison bites.

mod admission;
mod aggregates;
mod answer;

use definitions::Reason;

pub use admission::{Admission, Admitted, admit};
pub use aggregates::value;
pub use answer::{Seen, Value, Verdict};

/// A record as a lane sees it: decoded, with its expressions' values.
pub trait Event {
    /// Event id.
    fn id(&self) -> &str;
    /// Stream key.
    fn key(&self) -> &str;
    /// Event time as sent, in microseconds.
    fn sent(&self) -> i64;
    /// The log's clock, in milliseconds.
    fn append_ms(&self) -> i64;
    /// Why it is a dead letter before any time is looked at: by the decoder, or by the lane's expressions.
    fn rejected(&self) -> Option<Reason>;
    /// Whether the filter in this column of the lane's expressions lets it in.
    fn passes(&self, column: usize) -> bool;
    /// Its value in this column; amounts of sums are scaled to integers.
    fn value(&self, column: usize) -> Option<Value>;
}

impl<E: Event> Event for &E {
    fn id(&self) -> &str {
        (**self).id()
    }
    fn key(&self) -> &str {
        (**self).key()
    }
    fn sent(&self) -> i64 {
        (**self).sent()
    }
    fn append_ms(&self) -> i64 {
        (**self).append_ms()
    }
    fn rejected(&self) -> Option<Reason> {
        (**self).rejected()
    }
    fn passes(&self, column: usize) -> bool {
        (**self).passes(column)
    }
    fn value(&self, column: usize) -> Option<Value> {
        (**self).value(column)
    }
}

/// Rules that a test may break on purpose, to see that the comparison notices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Broken {
    /// A window is closed at its start.
    pub window_holds_its_start: bool,
    /// A window's tail does not move in hops.
    pub window_moves_continuously: bool,
    /// What lies at the watermark is late.
    pub late_at_the_watermark: bool,
    /// There are no duplicates.
    pub copies_count: bool,
    /// The last microsecond of a TTL is past it.
    pub ttl_includes_less: bool,
    /// Of equal times the later arrival comes first.
    pub ties_by_arrival_only: bool,
    /// A decayed sum keeps one epoch fewer.
    pub one_epoch_fewer: bool,
    /// A tile counts one key fewer exactly.
    pub cap_is_one_lower: bool,
}
