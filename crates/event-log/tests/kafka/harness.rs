use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use event_log::conformance::Harness;
use event_log::kafka::Settings;
use event_log::{Error, EventLog, Kafka, NewRecord, Reader};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use record::{Offset, Partition, Record};

/// How long anything may take before a test calls it lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker. Tests that only add topics of their own share one.
pub(crate) struct Broker {
    server: Arc<Mutex<servers::Kafka>>,
    pub(crate) bootstrap: String,
    group: String,
}

/// Gone with the last test that uses it.
static SHARED: Mutex<Weak<Mutex<servers::Kafka>>> = Mutex::new(Weak::new());

impl Broker {
    pub(crate) fn shared() -> Self {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(start);
        *shared = Arc::downgrade(&server);
        Self::of(server)
    }

    /// One for tests that kill it.
    pub(crate) fn own() -> Self {
        Self::of(start())
    }

    /// One that its controller keeps out of the cluster again and again, for less than a second.
    pub(crate) fn unsteady() -> Self {
        Self::of(Arc::new(Mutex::new(servers::Kafka::start_unsteady(&libs(), 4_500))))
    }

    fn of(server: Arc<Mutex<servers::Kafka>>) -> Self {
        let bootstrap = server.lock().unwrap().bootstrap();
        Self { server, bootstrap, group: unique("twofold-updater") }
    }

    pub(crate) fn server(&self) -> MutexGuard<'_, servers::Kafka> {
        self.server.lock().unwrap()
    }

    /// Waits until it has been kept out of the cluster, and is part of it again.
    pub(crate) async fn until_let_in_again(&self) {
        for kept_out in [true, false] {
            within("the controller", async {
                while tokio::task::block_in_place(|| self.server().is_fenced()) != Some(kept_out) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        // Brokers here know what they know: tests delete many topics.
        let missing_limit_ms = 600;
        Settings { group: self.group.clone(), missing_limit_ms, ..Settings::new(&self.bootstrap) }
    }

    pub(crate) fn log(&self) -> Kafka {
        Kafka::open(self.settings()).unwrap()
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    pub(crate) async fn add_partitions(&self, topic: &str, partitions: usize) {
        let new = NewPartitions::new(topic, partitions);
        let results = self.admin().create_partitions([&new], &options()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    pub(crate) async fn delete_topic(&self, topic: &str) {
        let results = self.admin().delete_topics(&[topic], &options()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let log = self.log();
        within("the deletion", async {
            while log.topic(topic).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

fn start() -> Arc<Mutex<servers::Kafka>> {
    Arc::new(Mutex::new(servers::Kafka::start(&libs())))
}

fn libs() -> PathBuf {
    servers::kafka_libs().expect("SERVERS_KAFKA_LIBS: eval \"$(tests/servers/fetch DIR)\"")
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

#[async_trait]
impl Harness for Broker {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log())
    }

    async fn delete(&self, topic: &str) {
        self.delete_topic(topic).await;
    }

    fn topic(&self, of: &str) -> String {
        unique(of)
    }
}

/// A name that no other test of this run uses; brokers do not outlive the run.
pub(crate) fn unique(of: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{of}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// What a log says when it is there.
pub(crate) async fn answered<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, Error>) -> T {
    within(what, async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(Error::Unavailable { reason }) => println!("again: {reason}"),
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

pub(crate) fn record(key: &str, value: &str) -> NewRecord {
    NewRecord { key: key.into(), value: value.into(), trace: None }
}

/// Appends one record to a topic that takes it.
pub(crate) async fn append_one(log: &Kafka, topic: &str, value: &str) -> Offset {
    let outcomes = log.append(topic, vec![record("key", value)]).await.unwrap();
    outcomes.into_iter().next().unwrap().unwrap().offset
}

/// Reads up to the end that the log has now, patient with a log that is away for a while.
pub(crate) async fn read_to_end(log: &Kafka, topic: &str, partition: Partition) -> Vec<Record> {
    let bounds = log.bounds(topic).await.unwrap()[partition.0 as usize];
    let mut reader = log.reader(topic, partition, bounds.first).await.unwrap();
    read_until(&mut *reader, bounds.next).await
}

pub(crate) async fn read_until(reader: &mut dyn Reader, end: Offset) -> Vec<Record> {
    let mut found = Vec::new();
    within("reading to the end", async {
        while reader.position() < end {
            match reader.next(1_000, Duration::from_millis(200)).await {
                Ok(records) => found.extend(records),
                Err(Error::Unavailable { reason }) => println!("again: {reason}"),
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    found
}
