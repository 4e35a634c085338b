//! Broker and store that speak TLS, with a certificate authority of their own: `tests/tls` builds the program with
//! the feature `tls` and starts them.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use servers::{Certificates, Fsync, Kafka, Redis, RedisCluster};
use tokio::time::Instant;

use crate::faults::redis_server;
use crate::live::digests;
use crate::night::sessions;
use crate::twofold::{Twofold, text};

const USER: &str = "shop";
const PASSWORD: &str = "s3cret";
/// Longer than an updater may take to give up: it tries for 3 s, the first question to a broker takes 2 s, and
/// those to Redis 5 s.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

/// A `twofold` that trusts an authority, by a settings file for Kafka and by the environment for Redis.
struct Shop {
    twofold: Twofold,
    log: String,
    store: String,
    trusted: Option<std::path::PathBuf>,
}

impl Shop {
    fn new(log: &str, store: &str, trusted: Option<&Path>) -> Self {
        let trusted = trusted.map(Path::to_owned);
        let shop =
            Self { twofold: Twofold::new(), log: log.to_owned(), store: store.to_owned(), trusted };
        shop.properties(&[("security.protocol", "ssl")]);
        shop
    }

    /// Writes the settings file anew; the authority comes by itself.
    fn properties(&self, properties: &[(&str, &str)]) {
        let mut settings = "[updater]\nretry_limit_ms = 3000\n[kafka]\nrequest_timeout_ms = 2000\n\
                            [kafka.properties]\n"
            .to_owned();
        let trusted = self.trusted.as_ref().map(|path| path.to_str().unwrap());
        let authority = trusted.map(|path| ("ssl.ca.location", path));
        for (key, value) in properties.iter().copied().chain(authority) {
            settings.push_str(&format!("{key} = \"{value}\"\n"));
        }
        self.twofold.file("twofold.toml", &settings);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.twofold.command(&["--config", "twofold.toml", "--log", &self.log]);
        command.args(["--store", &self.store]).args(arguments);
        match &self.trusted {
            Some(path) => command.env("SSL_CERT_FILE", path),
            None => command.env_remove("SSL_CERT_FILE"),
        };
        command.env_remove("SSL_CERT_DIR");
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let stdout = text(&output.stdout);
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// What `status` says of the imported sessions, through this log and this store.
    fn folded(&self) -> Value {
        let file = self.twofold.file("train.txt", &sessions(0..1, false));
        self.json(&["topics", "create"]);
        let imported = self.json(&["import", "yoochoose", file.to_str().unwrap()]);
        assert_eq!(imported["appended"], 600, "{imported}");
        self.json(&["update", "--drain"]);
        self.json(&["status", "--digest"])
    }

    /// The last line of what a command says that is refused: in time, with the code of a failure, and without
    /// the password.
    fn refused(&self) -> String {
        let start = Instant::now();
        let Output { status, stderr, .. } = self.command(&["update", "--drain"]).output().unwrap();
        let said = text(&stderr);
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(start.elapsed() < REFUSED_WITHIN, "after {:?}: {said}", start.elapsed());
        assert!(!said.contains(PASSWORD), "{said}");
        said.lines().last().unwrap().to_owned()
    }
}

fn kafka(certificates: &Certificates) -> (Kafka, servers::Encrypted) {
    let libs = servers::kafka_libs().expect("SERVERS_KAFKA_LIBS, as tests/servers/fetch says it");
    Kafka::start_with_tls(&libs, certificates, USER, PASSWORD)
}

fn redis(certificates: &Certificates) -> (Redis, String) {
    Redis::start_with_tls(&redis_server(), Fsync::EverySecond, certificates)
}

fn embedded() -> Value {
    let shop = Shop::new("embedded", "embedded", None);
    shop.folded()
}

fn with_password(password: &str) -> [(&'static str, &str); 4] {
    [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", USER),
        ("sasl.password", password),
    ]
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/tls starts them"]
fn events_go_through_tls_and_through_a_password() {
    let certificates = Certificates::new();
    let (_kafka, broker) = kafka(&certificates);
    let (_redis, store) = redis(&certificates);
    let authority = certificates.authority();
    let shop = Shop::new(&format!("kafka://{}", broker.open), &store, Some(&authority));
    let status = shop.folded();
    assert!(status["lanes"].as_array().unwrap().iter().all(|lane| lane["lag"] == 0), "{status}");
    assert_eq!(digests(&status), digests(&embedded()), "{status}");

    // The same broker, at the address that asks for a password.
    let secret = Shop { log: format!("kafka://{}", broker.secret), ..shop };
    secret.properties(&with_password(PASSWORD));
    assert_eq!(secret.json(&["status", "--digest"]), status);
    let more = secret.twofold.file("more.txt", &sessions(1..2, false));
    let imported = secret.json(&["import", "yoochoose", more.to_str().unwrap()]);
    assert_eq!(imported["appended"], 600, "{imported}");
    secret.json(&["update", "--drain"]);
    let after = secret.json(&["status", "--digest"]);
    assert!(after["lanes"].as_array().unwrap().iter().all(|lane| lane["lag"] == 0), "{after}");
    assert_ne!(digests(&after), digests(&status), "{after}");
}

#[test]
#[ignore = "needs Apache Kafka and Redis: tests/tls starts them"]
fn a_broker_that_is_not_trusted_or_does_not_trust_says_why() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (kafka, broker) = kafka(&certificates);
    let (authority, other) = (certificates.authority(), others.authority());
    let log = format!("kafka://{}", broker.open);

    let stranger = Shop::new(&log, "embedded", Some(&other));
    assert_says(
        &stranger.refused(),
        &[&broker.open, "certificate verify failed", "ssl.ca.location"],
    );
    let nobody = Shop::new(&log, "embedded", None);
    assert_says(&nobody.refused(), &[&broker.open, "certificate verify failed", "ssl.ca.location"]);
    // The certificate is of the address, not of this name for it.
    let by_name = broker.open.replace("127.0.0.1", "localhost");
    let misled = Shop::new(&format!("kafka://{by_name}"), "embedded", Some(&authority));
    // The broker listens at one address, and the name may have two.
    misled.properties(&[("security.protocol", "ssl"), ("broker.address.family", "v4")]);
    assert_says(&misled.refused(), &[&by_name, "certificate verify failed"]);

    let shop = Shop::new(&log, "embedded", Some(&authority));
    shop.properties(&[("security.protocol", "plaintext")]);
    assert_says(&shop.refused(), &[&broker.open, "TLS", "security.protocol"]);
    let plain = Shop::new(&format!("kafka://{}", kafka.bootstrap()), "embedded", Some(&authority));
    assert_says(&plain.refused(), &[&kafka.bootstrap(), "SSL handshake failed"]);

    let shop = Shop::new(&format!("kafka://{}", broker.secret), "embedded", Some(&authority));
    shop.properties(&with_password(&format!("not {PASSWORD}")));
    assert_says(&shop.refused(), &[&broker.secret, "uthentication failed", "SCRAM-SHA-512"]);
}

#[test]
#[ignore = "needs Redis: tests/tls starts it"]
fn a_redis_that_is_not_trusted_says_why() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (redis, store) = redis(&certificates);
    let (authority, other) = (certificates.authority(), others.authority());
    let place = store.strip_prefix("rediss://").unwrap();

    let stranger = Shop::new("embedded", &store, Some(&other));
    assert_says(&stranger.refused(), &[place, "UnknownIssuer", "SSL_CERT_FILE"]);
    let nobody = Shop::new("embedded", &store, None);
    assert_says(&nobody.refused(), &[place, "UnknownIssuer", "SSL_CERT_FILE"]);
    let missing = Shop::new("embedded", &store, Some(Path::new("/nowhere/ca.pem")));
    assert_says(&missing.refused(), &[place, "/nowhere/ca.pem"]);
    let by_name = store.replace("127.0.0.1", "localhost");
    let misled = Shop::new("embedded", &by_name, Some(&authority));
    assert_says(&misled.refused(), &["localhost", "not valid for name"]);

    let plain = Shop::new("embedded", &store.replace("rediss:", "redis:"), Some(&authority));
    assert_says(&plain.refused(), &[place, "rediss://"]);
    let eager = redis.url().replace("redis:", "rediss:");
    let eager = Shop::new("embedded", &eager, Some(&authority));
    assert_says(&eager.refused(), &[&format!("127.0.0.1:{}", redis.port()), "redis://"]);
}

#[test]
#[ignore = "needs Redis: tests/tls starts it"]
fn a_cluster_speaks_tls_too() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let (cluster, store) =
        RedisCluster::start_with_tls(&redis_server(), 3, Fsync::EverySecond, &certificates);
    let status = Shop::new("embedded", &store, Some(&certificates.authority())).folded();
    assert_eq!(digests(&status), digests(&embedded()), "{status}");
    let stranger = Shop::new("embedded", &store, Some(&others.authority()));
    assert_says(&stranger.refused(), &["127.0.0.1", "UnknownIssuer", "SSL_CERT_FILE"]);
    drop(cluster);
}
