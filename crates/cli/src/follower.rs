//! Who follows a command while it runs: whoever reads this process's stderr, or a client of the admin
//! socket at the other end of two bounded channels.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

/// Notes that may wait for a client; more are counted and left out.
const NOTES_MAX: usize = 1024;

/// How far a step of a command is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) done: u64,
    /// 0: not known yet.
    pub(crate) of: u64,
}

/// Is told how far a command is, and what it came across. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) enum Follower {
    /// A progress bar, or log lines; notes are in the log anyway.
    #[default]
    Here,
    /// A client that may be slow or gone: it gets the newest step, and the notes that fit.
    Away(Arc<Away>),
}

/// The command's end of the channels.
#[derive(Debug)]
pub(crate) struct Away {
    steps: watch::Sender<Step>,
    notes: mpsc::Sender<String>,
    left_out: AtomicU64,
}

/// The client's end of the channels.
pub(crate) struct Followed {
    pub(crate) steps: watch::Receiver<Step>,
    pub(crate) notes: mpsc::Receiver<String>,
}

impl Follower {
    /// A follower that is elsewhere, and what it receives.
    pub(crate) fn away() -> (Self, Followed) {
        let (steps, of_steps) = watch::channel(Step::default());
        let (notes, of_notes) = mpsc::channel(NOTES_MAX);
        let away = Away { steps, notes, left_out: AtomicU64::new(0) };
        (Self::Away(Arc::new(away)), Followed { steps: of_steps, notes: of_notes })
    }

    /// Tells somebody elsewhere how far it is; whether there is such a one.
    pub(crate) fn step(&self, what: &str, done: u64, of: u64) -> bool {
        let Self::Away(away) = self else { return false };
        away.steps.send_replace(Step { what: what.to_owned(), done, of });
        true
    }

    /// Tells somebody elsewhere what this process's log says.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        if let Self::Away(away) = self
            && away.notes.try_send(text()).is_err()
        {
            away.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that did not fit.
    pub(crate) fn left_out(&self) -> u64 {
        match self {
            Self::Here => 0,
            Self::Away(away) => away.left_out.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_reads_nothing_holds_nothing_up() {
        let (follower, mut followed) = Follower::away();
        for n in 0..NOTES_MAX as u64 + 7 {
            assert!(follower.step("reading", n, 0));
            follower.note(|| n.to_string());
        }
        assert_eq!(follower.left_out(), 7, "what does not fit is counted");
        assert_eq!(followed.steps.borrow_and_update().done, NOTES_MAX as u64 + 6, "the newest");
        assert_eq!(followed.notes.len(), NOTES_MAX);
        assert!(!Follower::Here.step("reading", 1, 2), "there is a bar for that");
    }
}
