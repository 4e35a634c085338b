use std::collections::HashSet;

use ::embedded::Ticket;
use ::embedded::crash::Point;
use record::{LaneId, Offset, Partition};

use super::Inner;
use super::layout::{self, HeadEntry, Kind};
use crate::{Commit, Error, Outcome, OwnerToken, StoredHead, limits};

/// Changes of keys: a value, or its removal.
type Changes = [(Vec<u8>, Option<Vec<u8>>)];

/// A commit of which nothing is left to do but to check its owner and position and to write it.
pub(super) struct Prepared {
    lane: LaneId,
    partition: Partition,
    owner: OwnerToken,
    expected: Option<Offset>,
    next: Offset,
    batch: fjall::OwnedWriteBatch,
}

impl Inner {
    pub(super) fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        let _lock = self.lock(lane, partition);
        let entry = HeadEntry { owner: Some(owner), ..self.head(lane, partition)? };
        let mut batch = self.database.batch();
        batch.insert(
            &self.store,
            layout::prefix(Kind::Head, lane, partition),
            layout::encode(&entry),
        );
        self.database.pass(Point::StateClaimBeforeWrite);
        let ticket = self.database.write(batch)?;
        self.database.pass(Point::StateClaimAfterWrite);
        self.sync(ticket)?;
        Ok(entry.head)
    }

    /// Checks a commit's sizes and copies what it writes, before anything is locked.
    pub(super) fn prepare(&self, commit: &Commit) -> Result<Prepared, Error> {
        limits::check(commit)?;
        let &Commit { lane, partition, owner, expected, ref head, .. } = commit;
        let mut batch = self.database.batch();
        self.put(&mut batch, Kind::State, lane, partition, &commit.states);
        self.put(&mut batch, Kind::Derived, lane, partition, &commit.derived);
        let entry = HeadEntry { owner: Some(owner), head: Some(head.clone()), removing: false };
        let key = layout::prefix(Kind::Head, lane, partition);
        batch.insert(&self.store, key, layout::encode(&entry));
        Ok(Prepared { lane, partition, owner, expected, next: head.next, batch })
    }

    pub(super) fn commit(&self, prepared: Prepared) -> Result<Outcome, Error> {
        let Prepared { lane, partition, owner, expected, next, batch } = prepared;
        let lock = self.lock(lane, partition);
        let entry = self.head(lane, partition)?;
        if entry.owner != Some(owner) {
            return Ok(Outcome::Fenced);
        }
        let stored = entry.head.map(|head| head.next);
        if stored != expected {
            return Ok(match stored {
                Some(stored) if stored == next => Outcome::AlreadyCommitted,
                stored => Outcome::Moved { stored },
            });
        }
        self.database.pass(Point::StateCommitBeforeWrite);
        let ticket = self.database.write(batch)?;
        self.database.pass(Point::StateCommitAfterWrite);
        // Others may commit this (lane, partition) on: a sync covers all that was written before it.
        drop(lock);
        if self.sync(ticket)? {
            self.database.pass(Point::StateCommitAfterSync);
        }
        Ok(Outcome::Committed)
    }

    /// Syncs if the settings ask for it, and says whether they do.
    fn sync(&self, ticket: Ticket) -> Result<bool, Error> {
        if self.settings.durable_commits {
            self.database.sync(ticket)?;
        }
        Ok(self.settings.durable_commits)
    }

    /// The head's entry; only under the lock does it stay as it is.
    fn head(&self, lane: LaneId, partition: Partition) -> Result<HeadEntry, Error> {
        let key = layout::prefix(Kind::Head, lane, partition);
        match self.store.get(key).map_err(|error| self.failed(error))? {
            Some(value) => layout::decode(&key, &value),
            None => Ok(HeadEntry::default()),
        }
    }

    /// Of several changes to one key the last one goes in: one batch may hold a key only once.
    fn put(
        &self,
        batch: &mut fjall::OwnedWriteBatch,
        kind: Kind,
        lane: LaneId,
        partition: Partition,
        changes: &Changes,
    ) {
        let prefix = layout::prefix(kind, lane, partition);
        let mut put = |(key, value): &(Vec<u8>, Option<Vec<u8>>)| {
            let key = layout::key(&prefix, key);
            match value {
                Some(value) => batch.insert(&self.store, key, &**value),
                None => batch.remove(&self.store, key),
            }
        };
        if changes.is_sorted_by(|(a, _), (b, _)| a < b) {
            return changes.iter().for_each(put);
        }
        let mut seen = HashSet::with_capacity(changes.len());
        let last = changes.iter().rev().filter(|(key, _)| seen.insert(key));
        last.for_each(&mut put);
    }
}
