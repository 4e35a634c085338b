//! What librdkafka's clients are told, and what they say.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::Instant;

use super::lifeline::{Lifeline, are_all_down};
use super::settings::Settings;
use crate::{Error, RECORD_BYTES_MAX};

/// The largest batch of records that a topic takes: one of the largest records, with what Kafka
/// writes around it.
pub(super) const BATCH_BYTES_MAX: usize = RECORD_BYTES_MAX + (64 << 10);
/// Bytes of one partition that are read ahead; librdkafka asks for no more of it until they are
/// taken. Pausing the partition would do as well but throw them away.
const READ_AHEAD_KIB_MAX: usize = 8 << 10;
/// Records of one partition that are read ahead.
const READ_AHEAD_RECORDS: usize = 50_000;
/// How soon a partition that was read ahead far enough is looked at again. librdkafka's own second
/// leaves readers without records for most of it.
const READ_AHEAD_PAUSE_MS: u32 = 5;
/// More than the writer's own queue lets in, so that the bound is met there, by waiting.
const QUEUE_RECORDS_MAX: usize = 1 << 17;
const QUEUE_KIB_MAX: usize = 128 << 10;
/// How long a record waits for others to go with it. The client sends each partition's batch by itself, so a
/// shorter wait makes thousands of requests a second of a few thousand events, and broker and client are busy
/// with those.
const LINGER_MS: u32 = 5;
/// Heartbeats that may be missed before a member of a group is taken for dead …
const HEARTBEATS_PER_SESSION: u32 = 5;
/// … and how long after each other they are sent at most.
const HEARTBEAT_MS_MAX: u32 = 3_000;
/// How soon an error of a client is told again.
const TOLD_EVERY: Duration = Duration::from_secs(30);
/// Errors that a client remembers to have told.
const TOLD_MAX: usize = 64;

/// Passes librdkafka's lines on to `tracing`, and keeps why its last connection failed: it tries that again by
/// itself, and a call that waited in vain only says that its time is over.
#[derive(Debug, Clone)]
pub(super) struct Context {
    failed: Arc<Mutex<Option<String>>>,
    teller: Arc<Teller>,
    pub(super) lifeline: Arc<Lifeline>,
}

impl Context {
    pub(super) fn new(settings: &Settings) -> Self {
        let lifeline = Arc::new(Lifeline::new(settings));
        Self { failed: Arc::default(), teller: Arc::default(), lifeline }
    }

    /// For another client of the same log: what one has told, the other need not.
    pub(super) fn another(&self, settings: &Settings) -> Self {
        Self { lifeline: Arc::new(Lifeline::new(settings)), ..self.clone() }
    }

    /// Why the last connection failed, in librdkafka's words, unless a call has succeeded since.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A call has succeeded.
    pub(super) fn succeeded(&self) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // That an administrator has come to the last of its brokers is a line.
        if facility == ERROR {
            return self.error(error_of(line), said(line));
        }
        log(level, facility, line);
        // A broker that hangs up is logged and makes no error. What makes one says more, so that stands.
        if facility == FAIL {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| hung_up(line));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.teller.tell("client", &error, reason);
        self.lifeline.complained(&error);
        if !are_all_down(&error) {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// Tells of the errors that clients have met, of each now and then: librdkafka says them at every attempt to
/// connect, and rdkafka passes a producer's on twice.
#[derive(Debug, Default)]
pub(super) struct Teller {
    told: Mutex<HashMap<String, Instant>>,
}

impl Teller {
    pub(super) fn tell(&self, client: &'static str, error: &KafkaError, reason: &str) {
        match self.is_due(&format!("{error}: {reason}")) {
            true => tracing::warn!(client, %error, reason, "kafka"),
            false => tracing::debug!(client, %error, reason, "kafka"),
        }
    }

    fn is_due(&self, what: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(what).is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            return false;
        }
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(what.to_owned(), Instant::now());
        true
    }
}

/// What librdkafka calls its lines of connections that ended.
const FAIL: &str = "FAIL";
/// … and those of errors that a client does not pass on otherwise.
const ERROR: &str = "ERROR";

/// The error that a line tells of, as far as it matters here.
fn error_of(line: &str) -> KafkaError {
    KafkaError::Global(match line.ends_with("brokers are down") {
        true => RDKafkaErrorCode::AllBrokersDown,
        false => RDKafkaErrorCode::Fail,
    })
}

/// A line without the thread that said it.
fn said(line: &str) -> &str {
    line.split_once("]: ").map_or(line, |(_, said)| said)
}

/// What librdkafka says of a connection that ended, without its thread; and what to look at.
fn hung_up(line: &str) -> String {
    let said = said(line);
    // The first question after connecting, which a listener that expects TLS does not understand.
    let advice = match said.contains("in state APIVERSION_QUERY") && !said.contains("ssl://") {
        true => {
            "; if it speaks TLS at this port, set the property security.protocol to ssl or sasl_ssl"
        }
        false => "",
    };
    format!("{said}{advice}")
}

pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel as Level;
    match level {
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(facility, "librdkafka: {line}");
        }
        Level::Warning => tracing::warn!(facility, "librdkafka: {line}"),
        // An idle connection that a broker closes is nothing to tell an operator of.
        Level::Notice | Level::Info if facility == FAIL => {
            tracing::debug!(facility, "librdkafka: {line}");
        }
        Level::Notice | Level::Info => tracing::info!(facility, "librdkafka: {line}"),
        Level::Debug => tracing::debug!(facility, "librdkafka: {line}"),
    }
}

pub(super) fn admin(settings: &Settings, context: Context) -> Result<AdminClient<Context>, Error> {
    let mut config = common(settings);
    // While a question waits for a broker, librdkafka (2.12) looks for one at every change of a connection; if it
    // connects where it needs to only, each look begins the next attempt at once, thousands a second.
    config.set("enable.sparse.connections", "false");
    create(&config, context)
}

/// A member of the group: it takes shares as they come, gives back no more than it has to, and reads
/// nothing of them.
pub(super) fn member(settings: &Settings) -> ClientConfig {
    let mut config = of_group(settings);
    let heartbeat_ms = settings.session_timeout_ms / HEARTBEATS_PER_SESSION;
    config
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", settings.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", heartbeat_ms.clamp(1, HEARTBEAT_MS_MAX).to_string())
        .set("max.poll.interval.ms", settings.poll_interval_ms_max.to_string())
        // Shares are assigned at the log's end, where nothing is to be fetched; should that have moved,
        // nothing has to be read for it.
        .set("auto.offset.reset", "latest")
        .set("queued.min.messages", "1");
    config
}

/// librdkafka's own defaults.
pub(super) fn bare_consumer(settings: &Settings) -> ClientConfig {
    of_group(settings)
}

/// Reads committed records only, and fails where a position is not in the log.
pub(super) fn consumer(settings: &Settings) -> ClientConfig {
    let mut config = of_group(settings);
    config
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("queued.min.messages", READ_AHEAD_RECORDS.to_string())
        .set("queued.max.messages.kbytes", READ_AHEAD_KIB_MAX.to_string())
        .set("fetch.queue.backoff.ms", READ_AHEAD_PAUSE_MS.to_string());
    config
}

/// Consumers say to which group they belong, whether they join it or not; none commits by itself.
fn of_group(settings: &Settings) -> ClientConfig {
    let mut config = common(settings);
    config
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false");
    config
}

/// Every replica in sync has a record, once and in order, before it is acknowledged.
pub(super) fn producer(settings: &Settings) -> ClientConfig {
    let mut config = common(settings);
    if config.get("linger.ms").is_none() {
        config.set("linger.ms", LINGER_MS.to_string());
    }
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", settings.delivery_timeout_ms.to_string())
        .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
        .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX.to_string())
        .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
    config
}

fn common(settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    // `Context` wants to know of connections that end; what is shown is for the filter of the process's log.
    if !matches!(config.log_level, RDKafkaLogLevel::Debug) {
        config.set_log_level(RDKafkaLogLevel::Info);
    }
    // Users' own first, so that what the adapter decides stands.
    config
        .set("reconnect.backoff.max.ms", "1000")
        .set("client.id", "twofold")
        .extend(settings.properties.iter().map(|(key, value)| (key.clone(), value.clone())));
    if encrypts(&settings.properties) && !names_authority(&settings.properties) {
        // OpenSSL as it is built here looks where no system has its authorities.
        config.set("ssl.ca.location", "probe");
    }
    config.set("bootstrap.servers", &settings.bootstrap_servers).set(
        "socket.timeout.ms",
        settings.request_timeout_ms.max(SOCKET_TIMEOUT_MS_MIN).to_string(),
    );
    config
}

fn encrypts(properties: &BTreeMap<String, String>) -> bool {
    let protocol = properties.get("security.protocol").map(String::as_str).unwrap_or_default();
    protocol.to_ascii_lowercase().ends_with("ssl")
}

fn names_authority(properties: &BTreeMap<String, String>) -> bool {
    properties.keys().any(|key| key.starts_with("ssl.ca."))
}

/// librdkafka takes no less.
const SOCKET_TIMEOUT_MS_MIN: u32 = 10;

/// # Errors
/// [`Error::BadSetting`] names the property that librdkafka does not take.
pub(super) fn create<C, T>(config: &ClientConfig, context: C) -> Result<T, Error>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C>,
{
    config.create_with_context(context).map_err(|error| match error {
        KafkaError::ClientConfig(_, reason, key, _) => Error::BadSetting { key, reason },
        other => Error::BadSetting {
            key: "kafka".to_owned(),
            reason: format!("no client with these settings: {other}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_not_told_at_every_attempt() {
        let teller = Teller::default();
        let due = |what| teller.is_due(what);
        assert_eq!([due("a"), due("a"), due("b"), due("a")], [true, false, true, false]);
    }

    #[test]
    fn a_broker_that_hangs_up_is_told_with_what_to_look_at() {
        let line = |protocol: &str, state: &str| {
            let broker = format!("{protocol}[::1]:1/bootstrap");
            hung_up(&format!(
                "[thrd:{broker}]: {broker}: Disconnected (after 4ms in state {state})"
            ))
        };
        let plain = line("", "APIVERSION_QUERY");
        assert!(plain.starts_with("[::1]:1/bootstrap: Disconnected (after"), "{plain}");
        assert!(plain.contains("security.protocol"), "{plain}");
        assert!(!line("", "UP").contains("security.protocol"));
        assert!(!line("ssl://", "APIVERSION_QUERY").contains("security.protocol"));
    }

    #[test]
    fn authorities_are_looked_for_where_systems_have_them_unless_the_user_names_one() {
        let looked_for = |properties: &[(&str, &str)]| {
            let mut settings = Settings::new("host:9092");
            let properties =
                properties.iter().map(|(key, value)| (key.to_string(), value.to_string()));
            settings.properties = properties.collect();
            common(&settings).get("ssl.ca.location").map(str::to_owned)
        };
        assert_eq!(looked_for(&[]), None);
        assert_eq!(looked_for(&[("security.protocol", "sasl_plaintext")]), None);
        for protocol in ["ssl", "SASL_SSL"] {
            let protocol = ("security.protocol", protocol);
            assert_eq!(looked_for(&[protocol]).as_deref(), Some("probe"));
            assert_eq!(looked_for(&[protocol, ("ssl.ca.location", "/ca")]).as_deref(), Some("/ca"));
            assert_eq!(looked_for(&[protocol, ("ssl.ca.pem", "…")]), None);
        }
    }
}
