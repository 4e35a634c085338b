//! Load shedding: a global limit of requests at once that follows latency, then quotas per client.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::settings::Settings;
use super::status::Refusal;

/// The limit is kept in thousandths, so that it can rise by less than one.
const UNIT: u32 = 1000;
/// What the limit is multiplied with when an answer was slow.
const DECREASE: f64 = 0.95;
/// Quotas that are kept; beyond that those at rest are forgotten.
const CLIENTS_MAX: usize = 10_000;

/// Admits requests, or says when to come back.
pub(super) struct Shedder {
    limit: AtomicU32,
    running: AtomicU32,
    min: u32,
    max: u32,
    target: Duration,
    quotas: DefaultKeyedRateLimiter<IpAddr>,
}

/// A place among the requests that run; free again when dropped.
pub(super) struct Permit(Arc<Shedder>);

impl Shedder {
    pub(super) fn new(settings: &Settings) -> Self {
        let per_s = NonZeroU32::new(settings.client_per_s).unwrap_or(NonZeroU32::MIN);
        Self {
            limit: AtomicU32::new(settings.concurrency_max.saturating_mul(UNIT)),
            running: AtomicU32::new(0),
            min: settings.concurrency_min.saturating_mul(UNIT),
            max: settings.concurrency_max.saturating_mul(UNIT),
            target: Duration::from_millis(settings.latency_target_ms),
            quotas: RateLimiter::keyed(Quota::per_second(per_s)),
        }
    }

    /// The global limit first: it protects everybody's answers.
    pub(super) fn admit(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Permit, Refusal> {
        let running = self.running.fetch_add(1, Ordering::AcqRel) + 1;
        let permit = Permit(Arc::clone(self));
        if running > self.limit() {
            return Err(Refusal::Exhausted {
                what: "too many requests at once",
                retry_after: self.target,
            });
        }
        let Some(client) = client else { return Ok(permit) };
        if self.quotas.len() > CLIENTS_MAX {
            self.quotas.retain_recent();
        }
        match self.quotas.check_key(&client) {
            Ok(()) => Ok(permit),
            Err(_) => Err(Refusal::Exhausted {
                what: "too many requests from one client",
                retry_after: Duration::from_secs(1),
            }),
        }
    }

    /// Requests at once that are admitted now.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed) / UNIT
    }

    /// Requests that run now.
    pub(super) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Additive increase while the limit is used, multiplicative decrease when an answer was slow.
    fn learn(&self, took: Duration) {
        let running = self.running() * UNIT;
        let _ = self.limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |limit| {
            if took > self.target {
                Some(((f64::from(limit) * DECREASE) as u32).max(self.min))
            } else if running > limit / 2 {
                let step = (UNIT * UNIT / limit.max(UNIT)).max(1);
                Some(limit.saturating_add(step).min(self.max))
            } else {
                None
            }
        });
    }
}

impl Permit {
    /// Says how long the request took.
    pub(super) fn done(self, took: Duration) {
        self.0.learn(took);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shedder(min: u32, max: u32, client_per_s: u32) -> Arc<Shedder> {
        let settings = Settings {
            concurrency_min: min,
            concurrency_max: max,
            client_per_s,
            ..Settings::default()
        };
        Arc::new(Shedder::new(&settings))
    }

    #[test]
    fn more_at_once_than_the_limit_are_refused_until_one_ends() {
        let shedder = shedder(1, 2, 100);
        let first = shedder.admit(None).unwrap();
        let _second = shedder.admit(None).unwrap();
        assert!(matches!(shedder.admit(None), Err(Refusal::Exhausted { .. })));
        first.done(Duration::ZERO);
        assert!(shedder.admit(None).is_ok());
    }

    #[test]
    fn slow_answers_lower_the_limit_and_fast_ones_raise_it() {
        let shedder = shedder(4, 100, 100);
        for _ in 0..200 {
            shedder.admit(None).unwrap().done(Duration::from_secs(1));
        }
        assert_eq!(shedder.limit(), 4);
        for _ in 0..2_000 {
            let permits: Vec<Permit> = (0..4).map(|_| shedder.admit(None).unwrap()).collect();
            permits.into_iter().for_each(|permit| permit.done(Duration::ZERO));
        }
        assert!(shedder.limit() > 6, "{}", shedder.limit());
    }

    #[test]
    fn one_client_cannot_take_what_others_need() {
        let shedder = shedder(1, 100, 2);
        let client = |last| Some(IpAddr::from([127, 0, 0, last]));
        assert!(shedder.admit(client(1)).is_ok() && shedder.admit(client(1)).is_ok());
        assert!(shedder.admit(client(1)).is_err());
        assert!(shedder.admit(client(2)).is_ok());
        assert_eq!(shedder.running(), 0);
    }
}
