//! What the adapter is told: where the brokers are, how long things may take, what topics are like.

mod owned;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::Error;

/// Settings of the Kafka adapter. Everything that waits has a limit here.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Brokers to ask first: `HOST:PORT[,HOST:PORT…]`.
    pub bootstrap_servers: String,
    /// Properties for librdkafka as they are (TLS, SASL, compression, …); those that the adapter
    /// decides by itself are refused.
    pub properties: BTreeMap<String, String>,
    /// How long one question to the brokers may take.
    pub request_timeout_ms: u32,
    /// How long an append may take; what is not acknowledged by then gets an error.
    pub delivery_timeout_ms: u32,
    /// How long a reader may be without records while there are some, before it fails.
    pub stall_timeout_ms: u32,
    /// How old the last look at a topic's identity may be when its records are handed out. A topic
    /// that is deleted and created again stops readers and appends after this time at most; 0 asks
    /// before each batch of records.
    pub identity_age_ms_max: u32,
    /// How long brokers that answer have to say that there is no such topic before it is taken for gone, or
    /// never created: one that has just started may not know its topics yet.
    pub missing_limit_ms: u32,
    /// The group whose members share partitions out: all processes that keep one store's states by the
    /// same definitions, and no others. Two groups on one store take its partitions from each other; one
    /// group on two stores leaves each without the partitions that the other's members have.
    pub group: String,
    /// How long a member of the group may be silent before others get its shares.
    pub session_timeout_ms: u32,
    /// How long a member may leave what the group says unheard before it has to go, and how long the
    /// others wait for it when shares change hands.
    pub poll_interval_ms_max: u32,
    /// How topics are created, and what they are checked against.
    pub topics: TopicSettings,
}

/// How topics are created, beside what the log's promises ask of every topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSettings {
    /// Copies of each record.
    pub replication_factor: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: u16,
    /// How long records are kept; `None`: for ever.
    pub retention_ms: Option<u64>,
}

impl Default for TopicSettings {
    /// One copy, kept for seven days.
    fn default() -> Self {
        let week_ms = 7 * 24 * 60 * 60 * 1000;
        Self { replication_factor: 1, min_insync_replicas: 1, retention_ms: Some(week_ms) }
    }
}

/// Names the properties without their values: passwords are among them.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("properties", &self.properties.keys())
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The settings that are used when nothing else is said.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            properties: BTreeMap::new(),
            request_timeout_ms: 10_000,
            delivery_timeout_ms: 20_000,
            stall_timeout_ms: 30_000,
            identity_age_ms_max: 1_000,
            missing_limit_ms: 10_000,
            group: "twofold-updater".to_owned(),
            session_timeout_ms: 15_000,
            poll_interval_ms_max: 60_000,
            topics: TopicSettings::default(),
        }
    }

    /// Settings for `kafka://HOST:PORT[,HOST:PORT…]`.
    ///
    /// # Errors
    /// [`Error::BadSetting`] when it is anything else.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadSetting { key: url.to_owned(), reason };
        let Some(servers) = url.strip_prefix("kafka://") else {
            return Err(bad("expected kafka://HOST:PORT[,HOST:PORT…]".to_owned()));
        };
        let servers = servers.strip_suffix('/').unwrap_or(servers);
        for server in servers.split(',') {
            let parts = server.rsplit_once(':');
            let good = parts.is_some_and(|(host, port)| {
                is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !good {
                return Err(bad(format!("{server:?} is no HOST:PORT (as in kafka://broker:9092)")));
            }
        }
        Ok(Self::new(servers))
    }

    /// # Errors
    /// [`Error::BadSetting`] names the first setting that cannot be used.
    pub(super) fn check(&self) -> Result<(), Error> {
        let bad = |key: &str, reason: &str| {
            Err(Error::BadSetting { key: key.to_owned(), reason: reason.to_owned() })
        };
        for (key, ms) in [
            ("request_timeout_ms", self.request_timeout_ms),
            ("delivery_timeout_ms", self.delivery_timeout_ms),
            ("stall_timeout_ms", self.stall_timeout_ms),
            ("session_timeout_ms", self.session_timeout_ms),
            ("poll_interval_ms_max", self.poll_interval_ms_max),
        ] {
            if !(1..=TIMEOUT_MS_MAX).contains(&ms) {
                return bad(key, "expected 1 to 3600000 milliseconds");
            }
        }
        for (key, ms) in [
            ("identity_age_ms_max", self.identity_age_ms_max),
            ("missing_limit_ms", self.missing_limit_ms),
        ] {
            if ms > TIMEOUT_MS_MAX {
                return bad(key, "expected at most 3600000 milliseconds");
            }
        }
        if self.group.is_empty() {
            return bad("group", "expected a name, such as twofold-updater");
        }
        if self.poll_interval_ms_max < self.session_timeout_ms {
            return bad("poll_interval_ms_max", "expected at least session_timeout_ms");
        }
        if self.topics.replication_factor == 0 {
            return bad("replication_factor", "expected at least 1");
        }
        if !(1..=self.topics.replication_factor).contains(&self.topics.min_insync_replicas) {
            return bad("min_insync_replicas", "expected 1 to replication_factor");
        }
        for (key, value) in &self.properties {
            owned::check(key, value)?;
        }
        Ok(())
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.into())
    }

    pub(super) fn delivery_timeout(&self) -> Duration {
        Duration::from_millis(self.delivery_timeout_ms.into())
    }

    pub(super) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms.into())
    }

    /// How long a group may take to take a member in: the others' sessions and their last chance to
    /// answer, and the question itself.
    pub(super) fn join_limit(&self) -> Duration {
        let others_ms = u64::from(self.session_timeout_ms) + u64::from(self.poll_interval_ms_max);
        Duration::from_millis(others_ms) + self.request_timeout()
    }

    pub(super) fn missing_limit(&self) -> Duration {
        Duration::from_millis(self.missing_limit_ms.into())
    }

    pub(super) fn identity_age_max(&self) -> Duration {
        Duration::from_millis(self.identity_age_ms_max.into())
    }
}

/// The longest time that anything may take.
const TIMEOUT_MS_MAX: u32 = 3_600_000;

fn is_host(host: &str) -> bool {
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
    };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => plain(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_the_brokers() {
        let servers = |url| Settings::from_url(url).map(|settings| settings.bootstrap_servers);
        assert_eq!(servers("kafka://localhost:9092").unwrap(), "localhost:9092");
        assert_eq!(servers("kafka://a.b:1,10.0.0.1:2/").unwrap(), "a.b:1,10.0.0.1:2");
        assert_eq!(servers("kafka://[::1]:9092").unwrap(), "[::1]:9092");
        for url in [
            "embedded",
            "kafka:",
            "kafka://",
            "kafka://host",
            "kafka://:9092",
            "kafka://host:0",
            "kafka://host:65536",
            "kafka://host:9092,",
            "kafka://user@host:9092",
            "kafka://host:9092/topic",
            "kafka://host:9092?acks=1",
            "redis://host:6379",
        ] {
            let error = servers(url).unwrap_err().to_string();
            assert!(error.contains(url), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let key = |change: fn(&mut Settings)| {
            let mut settings = Settings::new("host:9092");
            assert!(settings.check().is_ok());
            change(&mut settings);
            match settings.check() {
                Err(Error::BadSetting { key, .. }) => key,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(key(|s| s.request_timeout_ms = 0), "request_timeout_ms");
        assert_eq!(key(|s| s.delivery_timeout_ms = 3_600_001), "delivery_timeout_ms");
        assert_eq!(key(|s| s.stall_timeout_ms = 0), "stall_timeout_ms");
        assert_eq!(key(|s| s.missing_limit_ms = 3_600_001), "missing_limit_ms");
        assert_eq!(key(|s| s.group.clear()), "group");
        assert_eq!(key(|s| s.session_timeout_ms = 0), "session_timeout_ms");
        assert_eq!(key(|s| s.session_timeout_ms = 60_001), "poll_interval_ms_max");
        assert_eq!(key(|s| s.topics.replication_factor = 0), "replication_factor");
        assert_eq!(key(|s| s.topics.min_insync_replicas = 2), "min_insync_replicas");
        assert_eq!(key(|s| drop(s.properties.insert("acks".into(), "1".into()))), "acks");
    }
}
