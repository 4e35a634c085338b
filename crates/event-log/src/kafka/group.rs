//! A member of a consumer group, which shares partitions out and reads nothing.
//!
//! Readers have consumers of their own, with positions from the online store, so that nothing of what they
//! do hangs on the group. The member's consumer holds its shares paused, at the log's end. Its thread polls
//! it ([`thread`]), and tells what the group says ([`rebalance`]) through a bounded queue: a process whose
//! updater does not take what is told stops polling, and loses its membership for it.

mod rebalance;
mod thread;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use record::Offset;
use tokio::sync::{mpsc, oneshot};

use self::rebalance::Rebalances;
use self::thread::Thread;
use super::client;
use super::lifeline::Lifeline;
use super::settings::Settings;
use crate::{Change, Error, Membership, Share};

/// Changes that may wait for the updater to take them.
const CHANGES_MAX: usize = 16;

/// A member of a group.
pub(super) struct Member {
    group: String,
    changes: mpsc::Receiver<Result<Change, Error>>,
    orders: Arc<Mutex<Orders>>,
    rebalances: Arc<Rebalances>,
    /// Ends with the thread.
    left: oneshot::Receiver<()>,
    leave_max: Duration,
}

/// What the thread is told. It holds no more than there are shares.
#[derive(Debug, Default)]
struct Orders {
    released: BTreeSet<Share>,
    covered: BTreeMap<Share, Offset>,
    leave: bool,
}

fn lock(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    /// Begins to join; the first change says when it has.
    ///
    /// # Errors
    /// [`Error::BadSetting`]; or when there is no thread for it.
    pub(super) fn join(settings: &Settings, topics: &[&str]) -> Result<Self, Error> {
        let rebalances = Arc::new(Rebalances::default());
        let lifeline = Arc::new(Lifeline::new(settings));
        let context = rebalance::Context { rebalances: Arc::clone(&rebalances), lifeline };
        let consumer = client::create(&client::member(settings), context)?;
        let orders = Arc::<Mutex<Orders>>::default();
        let (tell, changes) = mpsc::channel(CHANGES_MAX);
        let (leaving, left) = oneshot::channel();
        let thread = Thread::new(settings, topics, consumer, Arc::clone(&orders), tell);
        std::thread::Builder::new()
            .name("kafka-group".to_owned())
            .spawn(move || {
                thread.run();
                drop(leaving);
            })
            .map_err(|error| Error::Unavailable { reason: format!("no kafka thread: {error}") })?;
        let group = settings.group.clone();
        Ok(Self { group, changes, orders, rebalances, left, leave_max: settings.request_timeout() })
    }
}

#[async_trait]
impl Membership for Member {
    async fn next(&mut self) -> Result<Change, Error> {
        match self.changes.recv().await {
            Some(change) => change,
            None => Err(thread::failed(&self.group, "its thread has ended")),
        }
    }

    fn release(&mut self, shares: &[Share]) {
        lock(&self.orders).released.extend(shares.iter().cloned());
    }

    fn hint(&mut self, covered: &[(Share, Offset)]) {
        lock(&self.orders).covered.extend(covered.iter().cloned());
    }

    fn hints_failed(&self) -> u64 {
        self.rebalances.hints_failed.load(Ordering::Relaxed)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn leave(mut self: Box<Self>) {
        lock(&self.orders).leave = true;
        // Nobody listens any more, so the thread must not wait for it.
        self.changes.close();
        if tokio::time::timeout(self.leave_max, &mut self.left).await.is_err() {
            tracing::warn!(group = self.group, "left behind: the group did not answer in time");
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.orders).leave = true;
    }
}
