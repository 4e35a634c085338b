//! What the product has stored, read through the store's port.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use definitions::parse::{File, parse};
use fold::{Head, StateKey};
use online_store::{OnlineStore, Redis, RedisSettings};
use record::Partition;
use tokio::runtime::Runtime;

use super::plain::PARTITIONS;

/// The lanes of the clickstream that the definitions ask for.
pub(super) fn lanes() -> Vec<Arc<Lane>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../feature-definitions");
    let mut files = Vec::new();
    for folder in ["sources", "groups"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            let text = std::fs::read_to_string(root.join(&path)).unwrap();
            files.push(File { path, text });
        }
    }
    let lanes = parse(&files).unwrap().lanes();
    lanes.into_iter().filter(|lane| lane.source.name == "clickstream").collect()
}

/// States by their keys.
pub(super) type States = BTreeMap<StateKey, Vec<u8>>;

/// A store that tests look at while it works.
pub(super) struct Store {
    runtime: Runtime,
    redis: Redis,
    pub(super) lanes: Vec<Arc<Lane>>,
}

impl Store {
    pub(super) fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        // Asks each time: a breaker would hide for a while that the server is back.
        let settings = RedisSettings {
            failures_max: u32::MAX,
            command_timeout: Duration::from_secs(1),
            ..RedisSettings::from_url(url).unwrap()
        };
        let redis = runtime.block_on(Redis::open(settings)).unwrap();
        Self { runtime, redis, lanes: lanes() }
    }

    /// Where each (lane, partition) stands, in a fixed order; `None` while one of them does not answer.
    pub(super) fn positions(&self) -> Option<Vec<u64>> {
        let each = self.lanes.iter().flat_map(|lane| (0..PARTITIONS).map(|p| (lane.id, p)));
        let read = each.map(|(lane, partition)| async move {
            let snapshot = self.redis.read(lane, Partition(partition), &[]).await.ok()?;
            Some(snapshot.head.map_or(0, |head| head.next.0))
        });
        self.runtime.block_on(futures::future::join_all(read)).into_iter().collect()
    }

    /// Head and states of one (lane, partition).
    pub(super) fn scan(&self, lane: &Lane, partition: u32) -> (Option<Head>, States) {
        let mut states = States::new();
        let mut visit = |key: &[u8], state: &[u8]| {
            let twice = states.insert(StateKey::from_bytes(key), state.to_vec());
            assert!(twice.is_none(), "a key is shown twice");
        };
        let scan = self.redis.scan(lane.id, Partition(partition), &mut visit);
        let head = self.runtime.block_on(scan).unwrap();
        (head.map(|head| Head::decode(&head.bytes).unwrap()), states)
    }
}
