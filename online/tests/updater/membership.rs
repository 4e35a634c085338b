//! A log whose group is the test: it says which partitions an updater has.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use event_log::{Change, Error, EventLog, Membership, Share};
use record::{Offset, Partition};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::over::{Log, Over};
use crate::world::World;

/// How long anything may take before a test calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The test's end of one updater's membership.
pub(crate) struct Seat {
    changes: mpsc::UnboundedSender<Result<Change, Error>>,
    released: mpsc::UnboundedReceiver<Share>,
    hinted: Arc<Mutex<Vec<(Share, Offset)>>>,
    left: watch::Receiver<bool>,
}

struct Member {
    changes: mpsc::UnboundedReceiver<Result<Change, Error>>,
    released: mpsc::UnboundedSender<Share>,
    hinted: Arc<Mutex<Vec<(Share, Offset)>>>,
    left: watch::Sender<bool>,
}

/// The world's log with one seat in the group.
struct Shared {
    inner: Arc<dyn EventLog>,
    member: Mutex<Option<Member>>,
}

/// A log for one updater, and what its group says to it.
pub(crate) fn seat(world: &World) -> (Arc<dyn EventLog>, Seat) {
    let (changes, of_changes) = mpsc::unbounded_channel();
    let (release, released) = mpsc::unbounded_channel();
    let (leave, left) = watch::channel(false);
    let hinted = Arc::<Mutex<Vec<(Share, Offset)>>>::default();
    let member =
        Member { changes: of_changes, released: release, hinted: Arc::clone(&hinted), left: leave };
    let log = Shared { inner: Arc::clone(&world.log), member: Mutex::new(Some(member)) };
    (Arc::new(Log(log)), Seat { changes, released, hinted, left })
}

/// A partition of every topic of the shop.
pub(crate) fn shares(partition: u32) -> Vec<Share> {
    let share = |topic: &str| Share { topic: topic.into(), partition: Partition(partition) };
    ["catalog", "clickstream"].map(share).to_vec()
}

pub(crate) fn all(partitions: impl IntoIterator<Item = u32>) -> Vec<Share> {
    partitions.into_iter().flat_map(shares).collect()
}

impl Seat {
    pub(crate) fn assign(&self, shares: Vec<Share>) {
        self.say(Ok(Change::Assigned(shares)));
    }

    pub(crate) fn revoke(&self, shares: Vec<Share>) {
        self.say(Ok(Change::Revoked(shares)));
    }

    pub(crate) fn lose(&self, shares: Vec<Share>) {
        self.say(Ok(Change::Lost(shares)));
    }

    pub(crate) fn expel(&self) {
        self.say(Err(Error::Unavailable { reason: "expelled".to_owned() }));
    }

    fn say(&self, change: Result<Change, Error>) {
        // An updater that has ended hears nothing, which the test sees elsewhere.
        let _ = self.changes.send(change);
    }

    /// Waits until all of these are released, and nothing else is.
    pub(crate) async fn released(&mut self, shares: &[Share]) {
        let mut left = shares.to_vec();
        while !left.is_empty() {
            let share = timeout(PATIENCE, self.released.recv()).await.unwrap().unwrap();
            let at = left.iter().position(|wanted| *wanted == share);
            left.remove(at.unwrap_or_else(|| panic!("{share:?} was not revoked")));
        }
    }

    /// Whether anything is released within this time.
    pub(crate) async fn releases_within(&mut self, wait: Duration) -> bool {
        timeout(wait, self.released.recv()).await.is_ok()
    }

    pub(crate) fn has_left(&self) -> bool {
        *self.left.borrow()
    }

    /// What the updater said last of how far it is.
    pub(crate) fn hinted(&self) -> Vec<(Share, Offset)> {
        self.hinted.lock().unwrap().clone()
    }
}

#[async_trait]
impl Membership for Member {
    async fn next(&mut self) -> Result<Change, Error> {
        match self.changes.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }

    fn release(&mut self, shares: &[Share]) {
        for share in shares {
            // The test may be over.
            let _ = self.released.send(share.clone());
        }
    }

    fn hint(&mut self, covered: &[(Share, Offset)]) {
        *self.hinted.lock().unwrap() = covered.to_vec();
    }

    fn hints_failed(&self) -> u64 {
        0
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn leave(self: Box<Self>) {
        self.left.send_replace(true);
    }
}

#[async_trait]
impl Over for Shared {
    fn inner(&self) -> &dyn EventLog {
        self.inner.as_ref()
    }

    async fn join(&self, topics: &[&str]) -> Result<Box<dyn Membership>, Error> {
        assert_eq!(topics, ["catalog", "clickstream"]);
        Ok(Box::new(self.member.lock().unwrap().take().expect("an updater joins once")))
    }
}
