//! Names its first brokers to a client again when it has lost all that it knew.
//!
//! librdkafka parts with brokers that the cluster does not name any more, and begins again with those of
//! `bootstrap.servers` when none is left. While a cluster's only broker is kept out of it (fenced), or brokers
//! have just started, their answers name no broker at all; then what should begin again is called off by the
//! very answer that made it necessary, once and for all (librdkafka 2.12, its issue 5301). Such a client tries
//! nothing more and complains of nothing: it has to be helped from outside. One that complains still tries, and
//! is left alone for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::native;
use super::settings::Settings;

/// How long a client that tries by itself may say nothing …
const QUIET: Duration = Duration::from_secs(2);
/// … and how long it is left alone.
const ALONE: Duration = Duration::from_secs(60);
/// How soon after each other brokers are named again …
const PAUSE: Duration = Duration::from_secs(5);
/// … so many times; if no answer has come by then, it is done seldom: librdkafka keeps all that it was told.
const THROWS: u32 = 12;
const PAUSE_SELDOM: Duration = Duration::from_secs(60);

/// One client's. Who finds that it may have lost its brokers says so; who polls the client looks after it.
#[derive(Debug)]
pub(super) struct Lifeline {
    servers: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it has said that it has lost them. No answer speaks against that: it may have come before.
    told: Option<Instant>,
    /// Since when others suppose so.
    supposed: Option<Instant>,
    /// When it complained last.
    complained: Option<Instant>,
    /// When they were named last.
    thrown: Option<Instant>,
    /// How often they were named since the last answer.
    throws: u32,
}

impl State {
    /// Whether brokers are to be named now, which is noted. A loss that comes too soon stays for later.
    fn is_due(&mut self, now: Instant) -> bool {
        let soon = |last: Option<Instant>, pause| last.is_some_and(|last| now < last + pause);
        let lost = self.told.or(self.supposed);
        let tries = soon(lost, ALONE) && soon(self.complained, QUIET);
        let pause = if self.throws < THROWS { PAUSE } else { PAUSE_SELDOM };
        if lost.is_none() || tries || soon(self.thrown, pause) {
            return false;
        }
        (self.told, self.supposed, self.thrown) = (None, None, Some(now));
        self.throws = self.throws.saturating_add(1);
        true
    }
}

impl Lifeline {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { servers: settings.bootstrap_servers.clone(), state: Mutex::default() }
    }

    /// The client may have lost its brokers. Of one that has not, to say so costs an idle connection per broker, until
    /// the cluster names its brokers the next time.
    pub(super) fn lost(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.supposed.get_or_insert_with(Instant::now);
    }

    /// The client has been answered.
    pub(super) fn found(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.supposed, state.throws) = (None, 0);
    }

    /// The client has met an error: so it still tries, but may have come to the last of its brokers.
    pub(super) fn complained(&self, error: &KafkaError) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.complained = Some(now);
        if are_all_down(error) {
            state.told.get_or_insert(now);
        }
    }

    /// Names the brokers to the client if it has lost them, as the settings do (`client.dns.lookup` does not apply to
    /// them). To be called again and again, but not in a callback of the client, which may hold what this waits for.
    pub(super) fn throw<C: ClientContext>(&self, client: &Client<C>) {
        let due = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_due(Instant::now())
        };
        if due {
            let brokers = native::add_brokers(client, &self.servers);
            tracing::info!(brokers, "a kafka client may have lost its brokers: named again");
        }
    }
}

/// Whether no broker is left. It follows from the errors of all connections, and explains none.
pub(super) fn are_all_down(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL_DOWN: KafkaError = KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);

    fn lifeline() -> Lifeline {
        Lifeline::new(&Settings::new("host:9092"))
    }

    #[test]
    fn a_loss_is_answered_once_and_not_too_soon() {
        let (mut state, start) = (State::default(), Instant::now());
        assert!(!state.is_due(start), "nothing is lost");
        state.supposed = Some(start);
        assert_eq!([state.is_due(start), state.is_due(start)], [true, false]);
        state.supposed = Some(start);
        let later = [start + PAUSE / 2, start + PAUSE, start + PAUSE * 3];
        assert_eq!(later.map(|now| state.is_due(now)), [false, true, false]);
    }

    #[test]
    fn what_does_not_help_is_done_seldom() {
        let lifeline = lifeline();
        let mut now = Instant::now();
        let mut thrown_after = |pause| {
            now += pause;
            let mut state = lifeline.state.lock().unwrap();
            state.supposed = Some(now);
            state.is_due(now)
        };
        for _ in 0..THROWS {
            assert!(thrown_after(PAUSE));
        }
        assert_eq!([PAUSE, PAUSE_SELDOM].map(&mut thrown_after), [false, true]);
        lifeline.found();
        assert!(thrown_after(PAUSE), "an answer has come");
    }

    #[test]
    fn a_client_that_is_answered_has_lost_nothing() {
        let lifeline = lifeline();
        lifeline.lost();
        lifeline.found();
        let is_due = || lifeline.state.lock().unwrap().is_due(Instant::now() + ALONE);
        assert!(!is_due());
        lifeline.complained(&ALL_DOWN);
        lifeline.found();
        assert!(is_due(), "the answer may be older than what the client says");
    }

    #[test]
    fn a_client_that_still_tries_is_left_alone_for_a_while() {
        let lifeline = lifeline();
        let due_in = |pause| lifeline.state.lock().unwrap().is_due(Instant::now() + pause);
        for _ in 0..3 {
            lifeline.complained(&ALL_DOWN);
            assert!(!due_in(QUIET / 2));
        }
        assert!(due_in(QUIET), "it has stopped");
        lifeline.complained(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure));
        assert!(!due_in(PAUSE * 2), "one broker of several");
        let mut state = State { complained: Some(Instant::now()), ..State::default() };
        state.supposed = state.complained.map(|now| now - ALONE);
        assert!(state.is_due(Instant::now()), "trying has led to nothing");
    }
}
