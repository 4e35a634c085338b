//! A broker that asks who is there: properties reach librdkafka as they are.

use std::time::Duration;

use event_log::kafka::Settings;
use event_log::{Error, EventLog, Kafka};
use record::{Offset, Partition};

use crate::harness::{append_one, unique, within};

const USER: &str = "shop";
const PASSWORD: &str = "s3cret";

fn settings(bootstrap: &str, password: &str) -> Settings {
    let properties = [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", USER),
        ("sasl.password", password),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Settings {
        properties: properties.into(),
        request_timeout_ms: 3_000,
        ..Settings::new(bootstrap)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Apache Kafka: tests/run starts it"]
async fn a_password_opens_a_log_and_a_wrong_one_does_not_and_is_never_shown() {
    let libs = servers::kafka_libs().expect("SERVERS_KAFKA_LIBS, as tests/servers/fetch says it");
    let (_server, secret) = servers::Kafka::start_with_password(&libs, USER, PASSWORD);
    let log = Kafka::open(settings(&secret, PASSWORD)).unwrap();
    let topic = unique("secret");
    log.create(&topic, 1).await.unwrap();
    append_one(&log, &topic, "told").await;
    let mut reader = log.reader(&topic, Partition(0), Offset(0)).await.unwrap();
    let read = within("a record", async {
        loop {
            let found = reader.next(10, Duration::from_secs(1)).await.unwrap();
            if let Some(record) = found.into_iter().next() {
                return record;
            }
        }
    });
    assert_eq!(read.await.value, b"told");

    let wrong = settings(&secret, "wr0ng");
    assert!(!format!("{wrong:?}").contains("wr0ng"), "{wrong:?}");
    let stranger = Kafka::open(wrong).unwrap();
    let error = within("a refusal", stranger.topic(&topic)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    // In the broker's words.
    assert!(error.to_string().contains("Invalid username or password"), "{error}");
    assert!(!error.to_string().contains("wr0ng"), "{error}");
    let nobody = Kafka::open(Settings { properties: [].into(), ..settings(&secret, "") }).unwrap();
    let error = within("a refusal", nobody.topic(&topic)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}
