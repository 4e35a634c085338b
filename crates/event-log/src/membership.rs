//! Who works on which partitions.
//!
//! Members of a group share the partitions of its topics out among themselves. It says who *should* work
//! on a partition, so that nobody is in another's way; it fences nobody. Two members may believe for a
//! while that a partition is theirs, as when one of them stood still; whoever writes has to be fenced
//! where it writes.

use std::sync::Arc;

use async_trait::async_trait;
use record::{Offset, Partition};

use crate::{Error, EventLog};

/// A partition of a topic: what members share out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: Partition,
}

/// What becomes of a member's shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// They are this member's now, beside those that it has. The first change is of this kind, and may
    /// name none: the group has taken the member in.
    Assigned(Vec<Share>),
    /// Another member is to have them: to be worked to an end, and [released](Membership::release). Until
    /// then nobody else gets them.
    Revoked(Vec<Share>),
    /// They are not this member's any more, and others may be at work on them: to be stopped at once. There
    /// is nothing to release.
    Lost(Vec<Share>),
}

/// One process's part in a group. Dropping it leaves the group, some time later.
#[async_trait]
pub trait Membership: Send {
    /// Waits for the next change. A call that is dropped loses nothing.
    ///
    /// # Errors
    /// When the group does not take this member in, or it cannot be one any more: there will be no other
    /// change, and what was assigned is to be taken for lost.
    async fn next(&mut self) -> Result<Change, Error>;

    /// Says that work on these revoked shares has ended.
    fn release(&mut self, shares: &[Share]);

    /// Says how far shares are covered, for those who watch the group's lag. A hint: nothing reads it back,
    /// and one that does not arrive is counted and no more.
    fn hint(&mut self, covered: &[(Share, Offset)]);

    /// Hints that did not arrive.
    fn hints_failed(&self) -> u64;

    /// Whether there can be other members: then whoever finds a partition taken from it has to wait for what
    /// the group says, where a member that is alone has met a stranger.
    fn is_shared(&self) -> bool;

    /// Leaves the group, so that others get the shares at once; no work may go on. Returns when it has left,
    /// or when that takes too long by the adapter's settings.
    async fn leave(self: Box<Self>);
}

/// The only member there can be: it has every partition, for good.
#[derive(Debug)]
pub struct Sole {
    untold: Option<Vec<Share>>,
}

impl Sole {
    /// A member that has every partition of these topics.
    ///
    /// # Errors
    /// As [`EventLog::topic`].
    pub async fn of(log: &(impl EventLog + ?Sized), topics: &[&str]) -> Result<Self, Error> {
        let mut all = Vec::new();
        for name in topics {
            let topic: Arc<str> = (*name).into();
            let partitions = 0..log.topic(name).await?.partitions;
            all.extend(partitions.map(|partition| Share {
                topic: Arc::clone(&topic),
                partition: Partition(partition),
            }));
        }
        Ok(Self { untold: Some(all) })
    }
}

#[async_trait]
impl Membership for Sole {
    async fn next(&mut self) -> Result<Change, Error> {
        match self.untold.take() {
            Some(all) => Ok(Change::Assigned(all)),
            None => std::future::pending().await,
        }
    }

    fn release(&mut self, _: &[Share]) {}

    fn hint(&mut self, _: &[(Share, Offset)]) {}

    fn hints_failed(&self) -> u64 {
        0
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn leave(self: Box<Self>) {}
}
