use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What the updater has done since it started.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(super) struct Cells {
            $(pub(super) $name: AtomicU64,)*
        }

        impl Cells {
            pub(super) fn snapshot(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Records read from the log, replays included; a record counts once for all lanes.
    records,
    /// Micro-batches.
    batches,
    /// Commits of a (lane, partition) that the store took.
    commits,
    /// Commits that turned out to be stored already, after their reply was lost.
    lost_replies,
    /// Times that a (lane, partition) dropped its memory and replayed from the store's position.
    replays,
    /// Records that a lane had covered already when they were read: a crash came between two lanes'
    /// commits, or one of them was replayed.
    covered_again,
    /// Attempts that failed and were tried again.
    retries,
    /// Partitions that the group gave to this updater; without a group, all of them once.
    partitions_assigned,
    /// Partitions that were given to others, after the last commit to them.
    partitions_revoked,
    /// Partitions that others took because this updater was silent for too long.
    partitions_lost,
    /// Times that a partition's work ended because another updater had claimed it.
    fenced,
    /// Times that the group was not told how far its partitions are covered, which nothing hangs on.
    hints_failed,
    /// States read from the store.
    states_read,
    /// States written to the store.
    states_written,
    /// Bytes of them and of their keys.
    state_bytes_written,
    /// States removed, because nobody can see anything of them any more.
    states_swept,
    /// Interest vectors written to the store.
    vectors_written,
    /// Late records written to their topic, by lane; a replay writes them again, under the same id.
    late_written,
    /// Dead letters written to their topic, by lane; a replay writes them again, under the same id.
    dead_letters_written,
    /// Late records and dead letters whose bytes were left out, because they exceed the log's limit.
    originals_left_out,
}

pub(super) fn add(cell: &AtomicU64, n: usize) {
    cell.fetch_add(n as u64, Ordering::Relaxed);
}
