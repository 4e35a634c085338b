//! What a topic has to be like: how it is created, and what an existing one is checked against.

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::RDKafkaErrorCode;

use super::client::{BATCH_BYTES_MAX, Context};
use super::error::{of, unavailable};
use super::offsets::number;
use super::settings::{Settings, TopicSettings};
use crate::Error;

/// A setting of a topic that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Kafka's name of the setting.
    pub setting: &'static str,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub expected: String,
    /// Why it matters, and the command that mends it.
    pub remedy: String,
}

/// A setting with what is asked of it.
struct Wanted {
    setting: &'static str,
    value: String,
    /// Whether more is as good.
    at_least: bool,
    why: &'static str,
}

fn wanted(settings: &TopicSettings) -> Vec<Wanted> {
    let exactly = |setting, value: &str, why| Wanted {
        setting,
        value: value.to_owned(),
        at_least: false,
        why,
    };
    let at_least = |setting, value: i64, why| Wanted {
        setting,
        value: value.to_string(),
        at_least: true,
        why,
    };
    let retention_ms = settings.retention_ms.map_or(-1, |ms| i64::try_from(ms).unwrap_or(-1));
    vec![
        exactly(
            "message.timestamp.type",
            "LogAppendTime",
            "admission judges events against the log's own clock",
        ),
        exactly("cleanup.policy", "delete", "compaction removes events that state is made of"),
        exactly(
            "unclean.leader.election.enable",
            "false",
            "an unclean election loses acknowledged records",
        ),
        at_least(
            "max.message.bytes",
            i64::try_from(BATCH_BYTES_MAX).unwrap_or(i64::MAX),
            "the log takes records of 1 MiB",
        ),
        at_least(
            "min.insync.replicas",
            settings.min_insync_replicas.into(),
            "fewer copies acknowledge a record",
        ),
        at_least("retention.ms", retention_ms, "records go before the archive has them"),
        at_least("retention.bytes", -1, "records go before the archive has them"),
    ]
}

/// Asks the brokers to create a topic; whether they did, as against: it was there already.
pub(super) async fn create(
    admin: &AdminClient<Context>,
    settings: &Settings,
    topic: &str,
    partitions: u32,
) -> Result<bool, Error> {
    let what = "creating it";
    let wanted = wanted(&settings.topics);
    let replication = TopicReplication::Fixed(settings.topics.replication_factor.into());
    let new = NewTopic::new(topic, number(partitions), replication);
    let new = wanted.iter().fold(new, |new, wanted| new.set(wanted.setting, &wanted.value));
    let results = admin
        .create_topics([&new], &options(settings))
        .await
        .map_err(|error| of(topic, what, &error))?;
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((_, code))) => Err(unavailable(topic, what, code)),
        None => Err(unavailable(topic, what, "no answer")),
    }
}

/// Asks the brokers to delete a topic; one that they do not know is as good.
pub(super) async fn delete(
    admin: &AdminClient<Context>,
    settings: &Settings,
    topic: &str,
) -> Result<(), Error> {
    let what = "deleting it";
    let results = admin
        .delete_topics(&[topic], &options(settings))
        .await
        .map_err(|error| of(topic, what, &error))?;
    match results.into_iter().next() {
        Some(Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition))) => Ok(()),
        Some(Err((_, code))) => Err(unavailable(topic, what, code)),
        None => Err(unavailable(topic, what, "no answer")),
    }
}

/// What is not as it should be.
pub(super) async fn check(
    admin: &AdminClient<Context>,
    settings: &Settings,
    topic: &str,
) -> Result<Vec<Finding>, Error> {
    let what = "asking for its settings";
    let mut described = admin
        .describe_configs([&ResourceSpecifier::Topic(topic)], &options(settings))
        .await
        .map_err(|error| of(topic, what, &error))?;
    let resource = match described.pop() {
        Some(Ok(resource)) => resource,
        Some(Err(code)) => return Err(unavailable(topic, what, code)),
        None => return Err(unavailable(topic, what, "no answer")),
    };
    let entries = resource.entry_map();
    Ok(wanted(&settings.topics)
        .into_iter()
        .filter_map(|wanted| {
            let entry = entries.get(wanted.setting).copied();
            wanted.finding(entry, topic, &settings.bootstrap_servers)
        })
        .collect())
}

impl Wanted {
    fn finding(&self, entry: Option<&ConfigEntry>, topic: &str, servers: &str) -> Option<Finding> {
        let found = entry.and_then(|entry| entry.value.as_deref()).unwrap_or("nothing");
        if self.is_met_by(found) {
            return None;
        }
        let (setting, value) = (self.setting, &self.value);
        Some(Finding {
            setting,
            found: found.to_owned(),
            expected: if self.at_least { format!("at least {value}") } else { value.clone() },
            remedy: format!(
                "{}: kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics \
                 --entity-name {topic} --add-config {setting}={value}",
                self.why
            ),
        })
    }

    /// −1 stands for no limit.
    fn is_met_by(&self, found: &str) -> bool {
        if !self.at_least {
            return found == self.value;
        }
        let unlimited = |number: i64| if number < 0 { i64::MAX } else { number };
        match (found.parse().map(unlimited), self.value.parse().map(unlimited)) {
            (Ok(found), Ok(value)) => found >= value,
            _ => false,
        }
    }
}

fn options(settings: &Settings) -> AdminOptions {
    let timeout = settings.request_timeout();
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_more_than_any() {
        let wanted = |value: &str| Wanted {
            setting: "retention.ms",
            value: value.to_owned(),
            at_least: true,
            why: "",
        };
        for (value, found, met) in [
            ("100", "100", true),
            ("100", "99", false),
            ("100", "-1", true),
            ("-1", "-1", true),
            ("-1", "9999999", false),
            ("100", "nothing", false),
        ] {
            assert_eq!(wanted(value).is_met_by(found), met, "{value} {found}");
        }
    }
}
