//! What benchmarks ask of the adapter beside the port.

use online_store::{Error, OnlineStore, PlainSets, Redis, RedisSettings};

use crate::harness::{Shared, server};

const LOAD: PlainSets =
    PlainSets { sets: 5_000, pipeline: 64, connections: 3, keys: 700, bytes: 300 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn plain_sets_are_as_many_and_as_large_as_asked_for_and_leave_nothing() {
    let redis = servers::Redis::start(&server(), servers::Fsync::EverySecond);
    let settings = RedisSettings {
        prefix: "bench-1".to_owned(),
        ..RedisSettings::from_url(&redis.url()).unwrap()
    };
    let (store, other) = (Redis::open(settings).await.unwrap(), "SET bench-2:plain:0 kept");
    assert_eq!(redis.ask(other).unwrap(), "OK");
    let sets = || {
        let stats = redis.ask("INFO commandstats").unwrap();
        let line = stats.lines().find(|line| line.starts_with("cmdstat_set:")).unwrap().to_owned();
        line.split([',', '=']).nth(1).unwrap().parse::<usize>().unwrap()
    };
    let (empty, before) = (store.memory().await.unwrap(), sets());
    assert!(!store.set_plain(LOAD).await.unwrap().is_zero());
    assert_eq!(sets() - before, LOAD.sets);
    let full = store.memory().await.unwrap();
    assert!(full.used - empty.used > (LOAD.keys / 2 * LOAD.bytes) as u64, "{empty:?} {full:?}");
    assert!(full.dataset > empty.dataset && full.resident > 0);
    let key = format!("{}{:012}", store.plain_prefix(), 0);
    let length: usize = redis.ask(&format!("STRLEN {key}")).unwrap().parse().unwrap();
    assert_eq!(length + key.len(), LOAD.bytes);

    let removed = store.remove_plain().await.unwrap();
    assert!((LOAD.keys as u64 / 2..=LOAD.keys as u64).contains(&removed), "{removed}");
    assert_eq!(store.remove_plain().await.unwrap(), 0);
    assert_eq!(redis.ask("DBSIZE").unwrap(), "1", "other keys stay");
    assert!(store.lanes().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_cluster_tells_its_memory_and_takes_no_pipeline() {
    let store = Shared::cluster().store().await;
    assert!(store.memory().await.unwrap().used > 0);
    let refused = store.set_plain(LOAD).await.unwrap_err();
    assert!(matches!(refused, Error::Unsuitable { .. }), "{refused}");
}
