//! Bounded retries with doubling pauses.

use std::future::Future;
use std::time::Duration;

use super::context::Context;
use super::{Error, counters};

/// Errors that trying again may mend.
pub(super) trait Transient {
    /// The reason, if trying again may help.
    fn transient(&self) -> Option<String>;
}

impl Transient for event_log::Error {
    fn transient(&self) -> Option<String> {
        match self {
            Self::Unavailable { reason } => Some(reason.clone()),
            _ => None,
        }
    }
}

impl Transient for online_store::Error {
    fn transient(&self) -> Option<String> {
        match self {
            Self::Unavailable { reason } => Some(reason.clone()),
            Self::Moved { .. } => Some(self.to_string()),
            _ => None,
        }
    }
}

/// Runs `attempt` until it succeeds, fails for good, or the settings' attempts are used up.
pub(super) async fn retry<T, E, F>(
    context: &Context,
    what: &'static str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error>
where
    E: Transient + Into<Error>,
    F: Future<Output = Result<T, E>>,
{
    let mut attempts = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempts += 1;
        pause(context, what, attempts, error).await?;
    }
}

/// Waits before attempt `attempts + 1`, or gives up.
pub(super) async fn pause<E: Transient + Into<Error>>(
    context: &Context,
    what: &'static str,
    attempts: u32,
    error: E,
) -> Result<(), Error> {
    let Some(reason) = error.transient() else { return Err(error.into()) };
    if attempts >= context.settings.attempts {
        return Err(Error::GivenUp { what, attempts, reason });
    }
    counters::add(&context.shared.counters.retries, 1);
    let pause = context.settings.backoff(attempts);
    // Up to half as much again, so that partitions that failed together do not come back together.
    let jitter_us = context.entropy.u64() % (pause.as_micros() as u64 / 2 + 1);
    tracing::warn!(what, attempts, reason, pause_ms = pause.as_millis() as u64, "trying again");
    tokio::time::sleep(pause + Duration::from_micros(jitter_us)).await;
    Ok(())
}
