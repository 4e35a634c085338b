//! Time of a run: each verb has a cap, and what one leaves over goes to the next.

use std::time::Duration;

use tokio::time::Instant;

/// How long each verb may take, if nothing was left over before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// All hydrators together.
    pub hydrate: Duration,
    /// All sources together.
    pub source: Duration,
    /// All scorers together.
    pub score: Duration,
}

/// The ends of the verbs of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// When hydrators must be done.
    pub hydrate_end: Instant,
    /// When sources must be done.
    pub source_end: Instant,
    /// When scorers must be done.
    pub score_end: Instant,
}

impl Budget {
    /// Plans a run that starts at `start` and must be over at `deadline`. A verb ends when its cap and
    /// those before it are used up, so an early stage hands its rest on. Where the caps are more
    /// than there is, all shrink in proportion.
    #[must_use]
    pub fn new(start: Instant, deadline: Instant, caps: Caps) -> Self {
        let total = deadline.saturating_duration_since(start);
        let asked = caps.hydrate + caps.source + caps.score;
        let scale = if asked > total { total.as_secs_f64() / asked.as_secs_f64() } else { 1.0 };
        let end = |used: Duration| (start + used.mul_f64(scale)).min(deadline);
        Self {
            hydrate_end: end(caps.hydrate),
            source_end: end(caps.hydrate + caps.source),
            score_end: end(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        hydrate: Duration::from_millis(10),
        source: Duration::from_millis(20),
        score: Duration::from_millis(30),
    };

    #[tokio::test]
    async fn ends_add_up_and_shrink_together() {
        let start = Instant::now();
        let ms = |ms: u64| start + Duration::from_millis(ms);
        let wide = Budget::new(start, ms(100), CAPS);
        assert_eq!((wide.hydrate_end, wide.source_end, wide.score_end), (ms(10), ms(30), ms(60)));
        let narrow = Budget::new(start, ms(6), CAPS);
        assert_eq!(
            (narrow.hydrate_end, narrow.source_end, narrow.score_end),
            (ms(1), ms(3), ms(6))
        );
        let none = Budget::new(start, start, CAPS);
        assert_eq!(none.score_end, start);
    }
}
