//! Bounded retries with doubling pauses.

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use runtime::entropy::Entropy;
use tokio::time::Instant;

use super::context::Context;
use super::{Error, Settings, counters};

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

/// Attempts that are made however long they take: a process that was stopped in between has not tried.
const ATTEMPTS_MIN: u32 = 5;

/// How often something was tried, and since when.
pub(super) struct Attempts<'a> {
    what: &'static str,
    settings: &'a Settings,
    entropy: &'a Entropy,
    retries: &'a AtomicU64,
    made: u32,
    failing_since: Option<Instant>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(context: &'a Context, what: &'static str) -> Self {
        Self::counted(&context.settings, &context.entropy, &context.shared.counters.retries, what)
    }

    /// Attempts before there is a context.
    pub(super) fn counted(
        settings: &'a Settings,
        entropy: &'a Entropy,
        retries: &'a AtomicU64,
        what: &'static str,
    ) -> Self {
        Self { what, settings, entropy, retries, made: 0, failing_since: None }
    }

    /// Runs `attempt` until it succeeds, fails for good, or has failed for as long as the settings allow.
    pub(super) async fn until_done<T, E, F>(
        mut self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        E: Transient + Into<Error>,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(error).await?,
            }
        }
    }

    /// Waits before the next attempt, or gives up.
    pub(super) async fn pause<E: Transient + Into<Error>>(
        &mut self,
        error: E,
    ) -> Result<(), Error> {
        let Some(reason) = error.transient() else { return Err(error.into()) };
        self.made += 1;
        let (what, attempts, settings) = (self.what, self.made, self.settings);
        let failing_for = self.failing_since.get_or_insert_with(Instant::now).elapsed();
        if failing_for >= settings.retry_limit() && attempts >= ATTEMPTS_MIN {
            let limit_ms = settings.retry_limit_ms;
            return Err(Error::GivenUp { what, attempts, limit_ms, reason });
        }
        counters::add(self.retries, 1);
        let pause = settings.backoff(attempts);
        // Up to half as much again, so that partitions that failed together do not come back together.
        let jitter_us = self.entropy.u64() % (pause.as_micros() as u64 / 2 + 1);
        let pause_ms = pause.as_millis() as u64;
        tracing::warn!(what, attempts, reason, pause_ms, "trying again");
        tokio::time::sleep(pause + Duration::from_micros(jitter_us)).await;
        Ok(())
    }
}

/// Runs `attempt` until it succeeds, fails for good, or has failed for as long as the settings allow.
pub(super) async fn retry<T, E, F>(
    context: &Context,
    what: &'static str,
    attempt: impl FnMut() -> F,
) -> Result<T, Error>
where
    E: Transient + Into<Error>,
    F: Future<Output = Result<T, E>>,
{
    Attempts::new(context, what).until_done(attempt).await
}
