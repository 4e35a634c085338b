use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Group commit: those who wait for a sync while another runs share the next one. Writes have numbers, without
/// a gap.
pub(crate) struct GroupSync {
    written: AtomicU64,
    synced: Mutex<u64>,
}

impl GroupSync {
    /// After write `number`, which is synced.
    pub(crate) fn after(number: u64) -> Self {
        Self { written: AtomicU64::new(number), synced: Mutex::new(number) }
    }

    /// The last write that is in the journal already.
    pub(crate) fn last(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// The ticket of a write that is in the journal already.
    pub(crate) fn written(&self) -> u64 {
        self.written.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns when a sync that began after `ticket`'s write has succeeded. `persist` is told the last write that
    /// it covers.
    pub(crate) fn sync<E>(
        &self,
        ticket: u64,
        persist: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= ticket {
            return Ok(());
        }
        // A ticket is handed out after its write, so the journal holds all of these now.
        let covered = self.last();
        persist(covered)?;
        *synced = covered;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sync_covers_all_that_was_written_before_it() {
        let group = GroupSync::after(7);
        let (first, second) = (group.written(), group.written());
        let mut syncs = 0;
        let mut sync = |ticket| {
            group.sync(ticket, |covered| {
                assert!(covered >= ticket);
                syncs += 1;
                Ok::<_, ()>(())
            })
        };
        sync(first).unwrap();
        sync(second).unwrap();
        sync(group.written()).unwrap();
        assert_eq!(syncs, 2);
    }

    #[test]
    fn a_failed_sync_covers_nothing() {
        let group = GroupSync::after(7);
        let ticket = group.written();
        assert_eq!(group.sync(ticket, |_| Err("disk")), Err("disk"));
        assert_eq!(group.sync(ticket, |_| Err("disk")), Err("disk"));
    }
}
