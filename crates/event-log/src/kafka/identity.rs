//! Which log a topic's name stands for, and whether it still does.
//!
//! Kafka's consumers and producers go by name: a topic that is deleted and created again is read and
//! written on as if nothing had happened. So the adapter keeps the id and the number of partitions
//! that it first saw under a name, and looks again whenever its last look is too old for what it is
//! about to hand out. A topic that has changed stays an error for as long as the log is open, because
//! whoever holds its old id would mix two logs. That a topic is gone is believed only when brokers have said
//! so for a while: one that has just started may not know its topics yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::error::RDKafkaErrorCode;
use record::LogId;
use tokio::time::Instant;

use super::client::Context;
use super::error::{blocking, identity_of, unavailable};
use super::native;
use super::settings::Settings;
use crate::{Error, Topic};

/// How long after each look a topic that the brokers do not know is looked for again.
const MISSING_PAUSE: Duration = Duration::from_millis(300);

/// How long brokers may take to answer before it is thought that none is known.
const ANSWER: Duration = Duration::from_secs(1);

/// The topics that this log has seen.
pub(super) struct Identities {
    admin: Arc<AdminClient<Context>>,
    request_timeout: Duration,
    age_max: Duration,
    /// Looks in a row that have to miss a topic before it is taken for gone. Counted, not timed: a process
    /// that was stopped in between has not looked.
    missing_looks: u32,
    /// Whether the brokers are believed at once that there is no topic of a name that was never seen: they
    /// know others, or were asked for long enough.
    settled: AtomicBool,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

/// A topic as it was first seen.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) topic: Topic,
    seen: Mutex<Seen>,
    /// One look at a time; who comes later takes its result.
    looking: Arc<tokio::sync::Mutex<()>>,
}

struct Seen {
    /// When the last look that found it unchanged began.
    at: Instant,
    /// What it has changed into.
    changed: Option<Changed>,
    /// When the last look that found nothing out ended, and why.
    failed: Option<(Instant, String)>,
}

#[derive(Clone, Copy)]
enum Changed {
    Gone,
    Recreated(LogId),
    Partitions(u32),
}

impl Identities {
    pub(super) fn new(admin: Arc<AdminClient<Context>>, settings: &Settings) -> Self {
        Self {
            admin,
            request_timeout: settings.request_timeout(),
            age_max: settings.identity_age_max(),
            missing_looks: missing_looks(settings.missing_limit()),
            settled: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// The topic, looked at no longer ago than the settings allow.
    pub(super) async fn get(self: &Arc<Self>, name: &str) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.known(name) {
            self.confirm(&known, Instant::now()).await?;
            return Ok(known);
        }
        let (found, at) = match self.settled.load(Ordering::Relaxed) {
            true => self.look_once(name).await,
            false => self.find(name).await,
        };
        if let Ok(_) | Err(Error::NoTopic { .. }) = found {
            self.settle();
        }
        let topic = found?;
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Two first looks at once: the earlier one stands, and this one is compared with it.
        let known =
            Arc::clone(all.entry(name.to_owned()).or_insert_with(|| Known::new(name, topic, at)));
        drop(all);
        known.compare(Ok(topic), at)?;
        Ok(known)
    }

    /// The topic as it is now, looked at now.
    pub(super) async fn now(self: &Arc<Self>, name: &str) -> Result<Arc<Known>, Error> {
        let Some(known) = self.known(name) else { return self.get(name).await };
        self.look_again(&known).await?;
        Ok(known)
    }

    /// The brokers are past their start: what they do not know is not there.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Forgets what was known of a topic that this log has just created itself.
    pub(super) fn forget(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Makes sure that the topic was still the same when records came that arrived at `arrived`, give
    /// or take the age that the settings allow. The next look begins at half of that age, beside the caller's
    /// work: nobody waits for one but where brokers are slower than that.
    pub(super) async fn confirm(
        self: &Arc<Self>,
        known: &Arc<Known>,
        arrived: Instant,
    ) -> Result<(), Error> {
        if known.is_confirmed(arrived, self.age_max)? {
            if !known.is_confirmed(arrived, self.age_max / 2)? {
                self.look_beside(known);
            }
            return Ok(());
        }
        let called = Instant::now();
        let _looking = known.looking.lock().await;
        if known.is_confirmed(arrived, self.age_max)? {
            return Ok(());
        }
        // Brokers that are away would otherwise keep all who wait, one after the other.
        if let Some(reason) = known.failed_since(called) {
            return Err(Error::Unavailable { reason });
        }
        let looked = self.look_again(known).await;
        known.note_failure(&looked);
        looked
    }

    /// Looks in the background if the last look is too old, for who waits and has no records.
    pub(super) fn refresh(self: &Arc<Self>, known: &Arc<Known>) -> Result<(), Error> {
        let pause = self.age_max.max(MISSING_PAUSE);
        if !known.is_confirmed(Instant::now(), pause)? {
            self.look_beside(known);
        }
        Ok(())
    }

    /// Looks in the background, unless somebody looks already, or has just found nothing out.
    fn look_beside(self: &Arc<Self>, known: &Arc<Known>) {
        // Brokers that do not answer are not asked all the time.
        if Instant::now()
            .checked_sub(MISSING_PAUSE)
            .is_some_and(|at| known.failed_since(at).is_some())
        {
            return;
        }
        let Ok(looking) = Arc::clone(&known.looking).try_lock_owned() else { return };
        let (this, known) = (Arc::clone(self), Arc::clone(known));
        tokio::spawn(async move {
            let looked = this.look_again(&known).await;
            known.note_failure(&looked);
            drop(looking);
            if let Err(error) = looked {
                tracing::debug!(topic = known.name, %error, "looking at a topic's identity");
            }
        });
    }

    async fn look_again(&self, known: &Known) -> Result<(), Error> {
        let (found, at) = self.find(&known.name).await;
        known.compare(found, at)
    }

    /// Asks until the brokers know the topic, or have missed it for as long as the settings say. Brokers that
    /// do not answer say nothing about it. When the last look began comes with what it found.
    async fn find(&self, name: &str) -> (Result<Topic, Error>, Instant) {
        let mut looks = 1;
        loop {
            match self.look_once(name).await {
                (Err(Error::NoTopic { .. }), _) if looks < self.missing_looks => {
                    if looks == 1 {
                        tracing::warn!(topic = name, "the brokers do not know it: looking again");
                    }
                    looks += 1;
                    tokio::time::sleep(MISSING_PAUSE).await;
                }
                found => return found,
            }
        }
    }

    async fn look_once(&self, name: &str) -> (Result<Topic, Error>, Instant) {
        let at = Instant::now();
        (self.look(name).await, at)
    }

    /// Asks the brokers.
    pub(super) async fn look(&self, name: &str) -> Result<Topic, Error> {
        let (admin, topic) = (Arc::clone(&self.admin), name.to_owned());
        let timeout = self.request_timeout;
        blocking(name, "asking for its id", move || {
            const WHAT: &str = "asking for its id";
            let client = admin.inner();
            let context = client.context();
            // Nobody else polls an administrator.
            let asked = Instant::now();
            let meanwhile = || {
                native::take_lines(client);
                if asked.elapsed() >= ANSWER {
                    context.lifeline.lost();
                }
                context.lifeline.throw(client);
            };
            let described = native::describe(client, &topic, timeout, meanwhile);
            if let Err(code) = described
                && is_no_answer(code)
            {
                context.lifeline.lost();
                native::take_lines(client);
                let failed = context.failed();
                let failed = failed.map(|why| format!(" (last failed connection: {why})"));
                let why = format!("{code}{}", failed.unwrap_or_default());
                return Err(unavailable(&topic, WHAT, why));
            }
            context.succeeded();
            context.lifeline.found();
            let described = described.map_err(|code| identity_of(&topic, WHAT, code))?;
            let partitions = u32::try_from(described.partitions).unwrap_or(u32::MAX);
            Ok(Topic { log: LogId(described.id), partitions })
        })
        .await
    }

    fn known(&self, name: &str) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Whether nobody has answered, rather than with this code.
fn is_no_answer(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
    )
}

/// As many as come one after the other within `limit`, and one more.
fn missing_looks(limit: Duration) -> u32 {
    u32::try_from(limit.as_millis() / MISSING_PAUSE.as_millis())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

impl Known {
    fn new(name: &str, topic: Topic, at: Instant) -> Arc<Self> {
        let seen = Mutex::new(Seen { at, changed: None, failed: None });
        Arc::new(Self { name: name.to_owned(), topic, seen, looking: Arc::default() })
    }

    /// Whether a look that is not older than `age_max` at `arrived` found it unchanged.
    fn is_confirmed(&self, arrived: Instant, age_max: Duration) -> Result<bool, Error> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.changed {
            Some(changed) => Err(self.error(changed)),
            None => Ok(seen.at + age_max >= arrived),
        }
    }

    /// Why a look that ended at `at` or later found nothing out.
    fn failed_since(&self, at: Instant) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.failed.as_ref().filter(|(ended, _)| *ended >= at).map(|(_, reason)| reason.clone())
    }

    fn note_failure(&self, looked: &Result<(), Error>) {
        if let Err(Error::Unavailable { reason }) = looked {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.failed = Some((Instant::now(), reason.clone()));
        }
    }

    /// Notes what a look that began at `at` has found.
    fn compare(&self, found: Result<Topic, Error>, at: Instant) -> Result<(), Error> {
        let changed = match found {
            Ok(found) if found.log != self.topic.log => Changed::Recreated(found.log),
            Ok(found) if found.partitions != self.topic.partitions => {
                Changed::Partitions(found.partitions)
            }
            Ok(_) => {
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.at = seen.at.max(at);
                return seen.changed.map_or(Ok(()), |changed| Err(self.error(changed)));
            }
            Err(Error::NoTopic { .. }) => Changed::Gone,
            Err(error) => return Err(error),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.changed = Some(changed);
        Err(self.error(changed))
    }

    fn error(&self, changed: Changed) -> Error {
        let topic = self.name.clone();
        match changed {
            Changed::Gone => Error::NoTopic { topic },
            Changed::Recreated(found) => {
                Error::Recreated { topic, expected: self.topic.log, found }
            }
            Changed::Partitions(found) => {
                Error::Partitions { topic, found, expected: self.topic.partitions }
            }
        }
    }
}
