//! A call: through the breaker, within the bound of calls under way, in time, with the functions
//! loaded where they are missing.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redis::{Cmd, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::breaker::{Admission, Breaker, BreakerState, Limits};
use super::connection::{Connection, Failed, Target};
use super::functions::Functions;
use super::{Settings, failure};
use crate::Error;

/// Breakers of a cluster: places that share one mostly share a server, and a server that is away
/// takes the places of the others only by chance.
const CLUSTER_BREAKERS: usize = 64;

/// The way to the server or the cluster, for calls that may wait for each other. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    settings: Settings,
    functions: Arc<Functions>,
    in_flight: Arc<Semaphore>,
    breakers: Box<[Mutex<Breaker>]>,
    /// Times that one of them opened.
    opened: AtomicU64,
    /// Calls that they refused.
    refused: AtomicU64,
}

/// The breakers of one way to the server or the cluster: what one server's outage opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breakers {
    /// What goes that way: `reads` or `commits`.
    pub link: &'static str,
    /// What each of them does. For one server there is one; for a cluster, one for each part of the keys.
    pub states: Vec<BreakerState>,
    /// Times that one of them opened; one that stays open after a probe has not opened again.
    pub opened: u64,
    /// Calls that failed at once because one was open.
    pub refused: u64,
}

impl Link {
    pub(super) async fn open(
        settings: &Settings,
        functions: &Arc<Functions>,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + settings.command_timeout;
        let connection = timeout_at(deadline, Connection::open(settings))
            .await
            .map_err(|_| failure::unavailable("no node of the cluster answered in time"))?
            .map_err(|error| failure::opening(settings, &error))?;
        let limits = Limits { failures_max: settings.failures_max, open_for: settings.open_for };
        let breakers = if settings.cluster { CLUSTER_BREAKERS } else { 1 };
        let inner = Inner {
            connection,
            settings: settings.clone(),
            functions: Arc::clone(functions),
            in_flight: Arc::new(Semaphore::new(settings.in_flight_max)),
            breakers: (0..breakers).map(|_| Mutex::new(Breaker::new(limits))).collect(),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its breakers, as they are.
    pub(super) fn breakers(&self, link: &'static str) -> Breakers {
        let Inner { breakers, opened, refused, .. } = &*self.inner;
        let state = |b: &Mutex<Breaker>| b.lock().unwrap_or_else(PoisonError::into_inner).state();
        Breakers {
            link,
            states: breakers.iter().map(state).collect(),
            opened: opened.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
        }
    }

    /// Sends a command and returns its answer.
    pub(super) async fn call(&self, target: Target, command: Cmd) -> Result<Value, Error> {
        let now = Instant::now();
        let deadline = now + self.inner.settings.command_timeout;
        let admission = self.inner.breaker(&target).admit(now).map_err(|refused| {
            self.inner.refused.fetch_add(1, Ordering::Relaxed);
            let wait_ms = refused.0.as_millis();
            failure::unavailable(format!(
                "Redis did not answer lately; tried again in {wait_ms} ms"
            ))
        })?;
        let in_flight = Arc::clone(&self.inner.in_flight).acquire_owned();
        let Ok(Ok(permit)) = timeout_at(deadline, in_flight).await else {
            if admission == Admission::Probe {
                self.inner.breaker(&target).failed(admission, Instant::now());
            }
            return Err(failure::unavailable("too many calls wait for Redis"));
        };
        // A task of its own: a caller that goes away, as one with a short deadline does, must not
        // hide from the breaker that there was no answer.
        let inner = Arc::clone(&self.inner);
        let call = async move { inner.finish(target, command, deadline, admission, permit).await };
        let ended = tokio::spawn(call).await;
        ended.map_err(|error| failure::unavailable(format!("a task failed: {error}")))?
    }

    /// Loads the functions into one server.
    pub(super) async fn load_functions(&self, target: Target) -> Result<(), Error> {
        match self.call(target, self.inner.functions.load()).await {
            Err(Error::Unavailable { reason }) if failure::says_loaded(&reason) => Ok(()),
            loaded => loaded.map(|_| ()),
        }
    }
}

impl Inner {
    fn breaker(&self, target: &Target) -> MutexGuard<'_, Breaker> {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let breaker = &self.breakers[hasher.finish() as usize % self.breakers.len()];
        breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn finish(
        &self,
        target: Target,
        command: Cmd,
        deadline: Instant,
        admission: Admission,
        _permit: OwnedSemaphorePermit,
    ) -> Result<Value, Error> {
        let answer = self.attempt(&target, &command, deadline).await;
        match &answer {
            // One connection that breaks is one failure, however many calls were under way on it.
            Err(failed) if failed.told && admission == Admission::Normal => {}
            Err(Failed { error, .. }) if failure::is_outage(error) => {
                if self.breaker(&target).failed(admission, Instant::now()) {
                    self.opened.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, "Redis does not answer; calls fail at once for a while");
                }
            }
            _ => self.breaker(&target).succeeded(),
        }
        answer.map_err(|failed| failure::error(&target, &failed.error))
    }

    /// Sends it; where the functions are missing (a new node, flushed by hand), loads them first.
    async fn attempt(
        &self,
        target: &Target,
        command: &Cmd,
        deadline: Instant,
    ) -> Result<Value, Failed> {
        match self.connection.send(target, command, deadline).await {
            Err(failed) if failure::lacks_functions(&failed.error) => {
                tracing::info!(?target, "loading the functions into Redis");
                match self.connection.send(target, &self.functions.load(), deadline).await {
                    Err(failed) if !failure::says_loaded(&failed.error.to_string()) => Err(failed),
                    _ => self.connection.send(target, command, deadline).await,
                }
            }
            answer => answer,
        }
    }
}
