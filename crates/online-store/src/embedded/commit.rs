use std::collections::HashSet;

use ::embedded::Ticket;
use ::embedded::crash::Point;
use record::{LaneId, Partition};

use super::Inner;
use super::layout::{self, HeadEntry, Kind};
use crate::{Commit, Error, Outcome, OwnerToken, StoredHead, limits};

/// Changes of keys: a value, or its removal.
type Changes = [(Vec<u8>, Option<Vec<u8>>)];

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

    pub(super) fn commit(&self, commit: Commit) -> Result<Outcome, Error> {
        limits::check(&commit)?;
        let Commit { lane, partition, owner, expected, head, states, derived } = commit;
        let lock = self.lock(lane, partition);
        let entry = self.head(lane, partition)?;
        if entry.owner != Some(owner) {
            return Ok(Outcome::Fenced);
        }
        let stored = entry.head.map(|head| head.next);
        if stored != expected {
            return Ok(match stored {
                Some(stored) if stored == head.next => Outcome::AlreadyCommitted,
                stored => Outcome::Moved { stored },
            });
        }
        let entry = HeadEntry { owner: Some(owner), head: Some(head), removing: false };
        let mut batch = self.database.batch();
        self.put(&mut batch, Kind::State, lane, partition, &states);
        self.put(&mut batch, Kind::Derived, lane, partition, &derived);
        batch.insert(
            &self.store,
            layout::prefix(Kind::Head, lane, partition),
            layout::encode(&entry),
        );
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
        let mut seen = HashSet::with_capacity(changes.len());
        for (key, value) in changes.iter().rev() {
            if !seen.insert(key) {
                continue;
            }
            let key = layout::key(&prefix, key);
            match value {
                Some(value) => batch.insert(&self.store, key, &**value),
                None => batch.remove(&self.store, key),
            }
        }
    }
}
