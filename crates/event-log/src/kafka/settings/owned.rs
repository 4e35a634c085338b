//! Properties of librdkafka that are not for the user to set: the log's promises rest on them.

use crate::Error;

/// Property → why it is the adapter's. Both names, where librdkafka has two.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", SERVERS),
    ("metadata.broker.list", SERVERS),
    ("acks", DURABLE),
    ("request.required.acks", DURABLE),
    ("enable.idempotence", DURABLE),
    ("enable.gapless.guarantee", DURABLE),
    ("transactional.id", DURABLE),
    ("max.in.flight", DURABLE),
    ("max.in.flight.requests.per.connection", DURABLE),
    ("retries", DURABLE),
    ("message.send.max.retries", DURABLE),
    ("delivery.report.only.error", DURABLE),
    ("partitioner", "the partition is the project's own choice"),
    ("delivery.timeout.ms", "set delivery_timeout_ms"),
    ("message.timeout.ms", "set delivery_timeout_ms"),
    ("request.timeout.ms", "set request_timeout_ms"),
    ("socket.timeout.ms", "set request_timeout_ms"),
    ("message.max.bytes", BOUNDED),
    ("queue.buffering.max.messages", BOUNDED),
    ("queue.buffering.max.kbytes", BOUNDED),
    ("queued.min.messages", BOUNDED),
    ("queued.max.messages.kbytes", BOUNDED),
    ("fetch.queue.backoff.ms", BOUNDED),
    ("enable.auto.commit", POSITIONS),
    ("auto.commit.enable", POSITIONS),
    ("enable.auto.offset.store", POSITIONS),
    ("auto.offset.reset", POSITIONS),
    ("enable.partition.eof", POSITIONS),
    ("partition.assignment.strategy", POSITIONS),
    ("group.id", "set group"),
    ("group.protocol", POSITIONS),
    ("group.instance.id", POSITIONS),
    ("session.timeout.ms", "set session_timeout_ms"),
    ("heartbeat.interval.ms", "set session_timeout_ms"),
    ("max.poll.interval.ms", "set poll_interval_ms_max"),
    ("isolation.level", "only committed records are in the log"),
    ("check.crcs", "what is stored is checked"),
    ("allow.auto.create.topics", "topics are created by `twofold topics create`"),
];

const SERVERS: &str = "give the brokers as kafka://HOST:PORT[,HOST:PORT…]";
const DURABLE: &str = "an acknowledged record is durable, once, and in order";
const BOUNDED: &str = "the adapter bounds its memory by itself";
const POSITIONS: &str = "positions come from the online store alone";

/// # Errors
/// [`Error::BadSetting`] when the adapter owns the property, or this build cannot do it.
pub(super) fn check(key: &str, value: &str) -> Result<(), Error> {
    let refused = |reason: String| Err(Error::BadSetting { key: key.to_owned(), reason });
    if let Some((_, why)) = OWNED.iter().find(|(owned, _)| *owned == key) {
        return refused(format!("it is not for the user to set: {why}"));
    }
    if needs_tls(key, value) && !cfg!(feature = "tls") {
        return refused(
            "this program was built without TLS: build it with `--features tls`".into(),
        );
    }
    Ok(())
}

/// librdkafka has these through OpenSSL only, and its own errors do not say so.
fn needs_tls(key: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match key {
        "security.protocol" => matches!(&*value, "ssl" | "sasl_ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => {
            value.starts_with("scram-") || value == "oauthbearer"
        }
        _ => key.starts_with("ssl."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_properties_are_refused_by_name() {
        for (key, _) in OWNED {
            let error = check(key, "x").unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(check("compression.type", "lz4").is_ok());
        assert!(check("sasl.mechanism", "PLAIN").is_ok());
    }

    #[test]
    fn tls_says_how_to_get_it() {
        for (key, value) in [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "/etc/ca.pem"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
        ] {
            let refusal = check(key, value).err().map(|error| error.to_string());
            let says = refusal.map(|refusal| refusal.contains("--features tls"));
            assert_eq!(says, if cfg!(feature = "tls") { None } else { Some(true) }, "{key}");
        }
    }
}
