use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use online_store::conformance::Harness;
use online_store::{OnlineStore, Redis, RedisSettings};
use record::LaneId;
use servers::{Fsync, RedisCluster};

static LANES: AtomicU64 = AtomicU64::new(1);

/// A lane that no other test of this process uses.
pub(crate) fn lane() -> LaneId {
    LaneId(LANES.fetch_add(1, Ordering::SeqCst).to_be_bytes())
}

/// The path of `redis-server`.
pub(crate) fn server() -> PathBuf {
    let found = std::env::var_os("SERVERS_REDIS_SERVER");
    found.expect("SERVERS_REDIS_SERVER, as tests/servers/fetch says it").into()
}

pub(crate) async fn open(url: &str) -> Redis {
    Redis::open(RedisSettings::from_url(url).unwrap()).await.unwrap()
}

/// A server, or a cluster, that tests which run at the same time share: it stops with the last of
/// them, as a value that lives as long as the process would not.
pub(crate) struct Shared {
    url: String,
    _server: Server,
}

enum Server {
    One { _server: Arc<servers::Redis> },
    Cluster { _cluster: Arc<RedisCluster> },
}

impl Shared {
    pub(crate) fn one() -> Self {
        static ONE: Mutex<Weak<servers::Redis>> = Mutex::new(Weak::new());
        let one = share(&ONE, || servers::Redis::start(&server(), Fsync::EverySecond));
        Self { url: one.url(), _server: Server::One { _server: one } }
    }

    pub(crate) fn cluster() -> Self {
        static CLUSTER: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
        let cluster = share(&CLUSTER, || RedisCluster::start(&server(), 3, 0, Fsync::EverySecond));
        Self { url: cluster.url(), _server: Server::Cluster { _cluster: cluster } }
    }

    pub(crate) async fn store(&self) -> Redis {
        open(&self.url).await
    }
}

fn share<T>(shared: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let started = Arc::new(start());
        *shared = Arc::downgrade(&started);
        started
    })
}

#[async_trait]
impl Harness for Shared {
    async fn open(&self) -> Arc<dyn OnlineStore> {
        Arc::new(self.store().await)
    }

    fn lane(&self) -> LaneId {
        lane()
    }
}
