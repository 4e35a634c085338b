//! When to stop: one trigger, any number of listeners, and a limit on how long the rest may take.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;

/// Asks every [`Shutdown`] of its channel to stop; dropping it asks too.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Says when to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Option<watch::Receiver<bool>>);

/// What was under way did not end within its time and was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("did not stop within {} s", .0.as_secs_f64())]
pub struct Overdue(pub Duration);

/// A trigger and its listener.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(Some(receiver)))
}

/// A listener that ctrl-c and SIGTERM trigger. Must be called within a Tokio runtime.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (trigger, shutdown) = channel();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        tracing::info!(signal = name, "stopping");
        trigger.shut_down();
    });
    Ok(shutdown)
}

/// Waits for `work`, which was asked to stop, at most for `limit`.
///
/// # Errors
/// [`Overdue`]: it was dropped.
pub async fn drain<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Overdue> {
    tokio::time::timeout(limit, work).await.map_err(|_| Overdue(limit))
}

impl Trigger {
    /// Asks everybody to stop.
    pub fn shut_down(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// One that never comes.
    #[must_use]
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether it has come.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| *asked.borrow() || asked.has_changed().is_err())
    }

    /// Waits until it comes.
    pub async fn wait(&self) {
        let Some(mut asked) = self.0.clone() else { return std::future::pending().await };
        // An error means that the trigger is gone, and nobody could ever ask again: stop.
        let _ = asked.wait_for(|asked| *asked).await;
    }

    /// Runs `work` until it ends (`Some`) or shutdown comes (`None`; the work is dropped).
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_listener_hears_it_also_afterwards() {
        let (trigger, shutdown) = channel();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        assert!(!shutdown.requested());
        assert_eq!(shutdown.unless(async { 3 }).await, Some(3));
        trigger.shut_down();
        early.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.requested());
        assert_eq!(shutdown.unless(std::future::pending::<()>()).await, None);
    }

    #[tokio::test]
    async fn a_lost_trigger_stops() {
        let (trigger, shutdown) = channel();
        drop(trigger);
        shutdown.wait().await;
        assert!(shutdown.requested());
        assert!(!Shutdown::never().requested());
    }

    #[tokio::test]
    async fn draining_has_a_limit() {
        let limit = Duration::from_millis(5);
        assert_eq!(drain(limit, std::future::pending::<()>()).await, Err(Overdue(limit)));
        assert_eq!(drain(limit, async { 1 }).await, Ok(1));
    }
}
