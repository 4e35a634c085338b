use std::collections::HashSet;

use ::redis::{Cmd, Value};
use record::{LaneId, Partition};

use super::Redis;
use super::connection::Target;
use super::layout::{self, Kind};
use crate::limits::{self, within};
use crate::{Commit, Error, Outcome, OwnerToken, StoredHead};

/// Changes of one commit: Redis works at it alone for about a second per million.
const COMMIT_CHANGES_MAX: usize = 500_000;
/// Bytes of one commit; Redis closes the connection of a client that sends 1 GiB at once.
const COMMIT_BYTES_MAX: usize = 512 << 20;

impl Redis {
    pub(super) async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        let key = self.key(lane, partition);
        let mut command = Cmd::new();
        command.arg("FCALL").arg(&self.functions.claim).arg(1).arg(&key).arg(&owner.0[..]);
        let answer = self.commits.call(Target::Key(key.clone()), command).await?;
        layout::decode(&key, answer)
    }

    pub(super) async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        limits::check(commit)?;
        let key = self.key(commit.lane, commit.partition);
        let next = commit.head.next;
        let command = command(&self.functions.commit, &key, commit)?;
        match self.commits.call(Target::Key(key.clone()), command).await? {
            Value::Int(1) => Ok(Outcome::Committed),
            Value::Int(0) => Ok(Outcome::Fenced),
            Value::BulkString(stored) => {
                let stored = layout::decode_position(&key, &stored)?;
                Ok(match stored {
                    Some(stored) if stored == next => Outcome::AlreadyCommitted,
                    stored => Outcome::Moved { stored },
                })
            }
            other => Err(layout::damaged(&key, &format!("a commit was answered by {other:?}"))),
        }
    }
}

/// The function's call: all that is put, then all that is removed.
fn command(function: &str, key: &str, commit: &Commit) -> Result<Cmd, Error> {
    let changes = changes(commit);
    let size = |(_, key, value): &Change<'_>| key.len() + value.map_or(0, <[u8]>::len) + 32;
    let bytes = changes.iter().map(size).sum::<usize>() + commit.head.bytes.len();
    within("a commit", bytes, COMMIT_BYTES_MAX)?;
    if changes.len() > COMMIT_CHANGES_MAX {
        let (bytes, bytes_max) = (changes.len(), COMMIT_CHANGES_MAX);
        return Err(Error::TooLarge {
            what: "the number of changes of a commit",
            bytes,
            bytes_max,
        });
    }
    let puts = changes.iter().filter(|(_, _, value)| value.is_some()).count();
    let mut command = Cmd::with_capacity(8 + puts + changes.len(), bytes);
    command.arg("FCALL").arg(function).arg(1).arg(key).arg(&commit.owner.0[..]);
    command.arg(layout::position(commit.expected)).arg(layout::encode(&commit.head)).arg(2 * puts);
    for (kind, key, value) in &changes {
        if let Some(value) = value {
            put_field(&mut command, *kind, key).arg(*value);
        }
    }
    for (kind, key, value) in &changes {
        if value.is_none() {
            put_field(&mut command, *kind, key);
        }
    }
    Ok(command)
}

/// Most keys are their field, and need no copy.
fn put_field<'a>(command: &'a mut Cmd, kind: Kind, key: &[u8]) -> &'a mut Cmd {
    match layout::is_bare(kind, key) {
        true => command.arg(key),
        false => command.arg(layout::field(kind, key)),
    }
}

type Change<'a> = (Kind, &'a [u8], Option<&'a [u8]>);

/// What the commit changes. Of several changes to one key the last one counts; where all are puts
/// Redis sees to that, because they are made in order.
fn changes(commit: &Commit) -> Vec<Change<'_>> {
    let of = |kind, changes| {
        let changes: &[(Vec<u8>, Option<Vec<u8>>)] = changes;
        changes.iter().map(move |(key, value)| (kind, key.as_slice(), value.as_deref()))
    };
    let all = of(Kind::State, &commit.states).chain(of(Kind::Derived, &commit.derived));
    let mut all: Vec<Change<'_>> = all.collect();
    if all.iter().any(|(_, _, value)| value.is_none()) {
        let mut seen = HashSet::with_capacity(all.len());
        all.reverse();
        all.retain(|(kind, key, _)| seen.insert((*kind, *key)));
    }
    all
}
