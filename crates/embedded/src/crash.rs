//! Named places where a test can make the process abort: around append, sync and commit.
//!
//! They cost one branch when no test asks for one ([`crate::Options::crash_at`]).

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A place where a test can make the process abort.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[doc = $doc])+ $variant,)+
        }

        /// All of them, so that a test can try each.
        pub const POINTS: &[Point] = &[$(Point::$variant),+];

        impl Point {
            /// Its name, such as `log.append.after_sync`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

points! {
    /// A topic is about to be written.
    LogCreateBeforeWrite = "log.create.before_write",
    /// A topic is in the journal, not synced, and its creator does not know.
    LogCreateAfterWrite = "log.create.after_write",
    /// Records are about to be written.
    LogAppendBeforeWrite = "log.append.before_write",
    /// Records are in the journal, not synced, and no reader sees them.
    LogAppendAfterWrite = "log.append.after_write",
    /// Records are durable, but no reader sees them.
    LogAppendAfterSync = "log.append.after_sync",
    /// Records are durable and visible, but the appender does not know.
    LogAppendBeforeReply = "log.append.before_reply",
    /// A claim is about to be written.
    StateClaimBeforeWrite = "state.claim.before_write",
    /// A claim is written, but the claimer does not know.
    StateClaimAfterWrite = "state.claim.after_write",
    /// A commit has been checked and is about to be written.
    StateCommitBeforeWrite = "state.commit.before_write",
    /// A commit is written, but the committer does not know.
    StateCommitAfterWrite = "state.commit.after_write",
    /// A durable commit is synced, but the committer does not know.
    StateCommitAfterSync = "state.commit.after_sync",
    /// A lane is marked for removal, and nothing of it is removed.
    StateRemoveAfterMark = "state.remove.after_mark",
    /// A lane's states are removed, and its mark is not.
    StateRemoveBeforeUnmark = "state.remove.before_unmark",
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which passing of which place aborts; written `log.append.after_sync:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashPoint {
    /// The place.
    pub point: Point,
    /// The passing, from 1.
    pub nth: u32,
}

/// A crash point that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no crash point: expected NAME or NAME:NTH, NAME one of {names}", names = names())]
pub struct Unknown(String);

fn names() -> String {
    POINTS.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

impl FromStr for CrashPoint {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        let unknown = || Unknown(text.to_owned());
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let point = POINTS.iter().find(|point| point.name() == name).ok_or_else(unknown)?;
        let nth = nth.parse().ok().filter(|nth| *nth > 0).ok_or_else(unknown)?;
        Ok(Self { point: *point, nth })
    }
}

/// A crash point that counts.
pub(crate) struct Armed {
    at: CrashPoint,
    passed: AtomicU32,
}

impl Armed {
    pub(crate) fn new(at: CrashPoint) -> Self {
        Self { at, passed: AtomicU32::new(0) }
    }

    pub(crate) fn pass(&self, point: Point) {
        if point == self.at.point && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.at.nth {
            tracing::warn!(%point, nth = self.at.nth, "aborting, as a test asked");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_is_found_by_its_name() {
        for point in POINTS {
            let parsed: CrashPoint = format!("{point}:7").parse().unwrap();
            assert_eq!(parsed, CrashPoint { point: *point, nth: 7 });
        }
        assert_eq!("log.append.after_sync".parse::<CrashPoint>().unwrap().nth, 1);
    }

    #[test]
    fn what_is_no_point_is_refused_with_the_list() {
        for wrong in ["", "log.append", "log.append.after_sync:0", "log.append.after_sync:x"] {
            let error = wrong.parse::<CrashPoint>().unwrap_err();
            assert!(error.to_string().contains("state.commit.after_write"), "{error}");
        }
    }
}
