//! Servers that states may not be trusted to.

use online_store::{Error, Redis, RedisSettings};
use servers::{Fsync, Redis as Server, RedisCluster};

use crate::harness::server;

async fn open(url: &str) -> Result<Redis, Error> {
    Redis::open(RedisSettings::from_url(url).unwrap()).await
}

async fn refused(url: &str, because: &str) {
    match open(url).await.map(|_| ()) {
        Err(Error::Unsuitable { reason, .. }) => assert!(reason.contains(because), "{reason}"),
        other => panic!("{other:?} instead of a refusal because: {because}"),
    }
    let allowed = open(&format!("{url}?allow_volatile=true")).await;
    assert!(allowed.is_ok(), "it may be taken all the same: {:?}", allowed.err());
}

fn start(arguments: &[&str]) -> Server {
    Server::start_with(&server(), Fsync::EverySecond, arguments)
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn eviction_is_refused() {
    let evicts = start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    refused(&evicts.url(), "evicts").await;
    for harmless in [
        &["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"][..],
        &["--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"],
    ] {
        let redis = start(harmless);
        open(&redis.url()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn forgetting_is_refused() {
    let forgets = start(&["--appendonly", "no"]);
    refused(&forgets.url(), "forgets everything").await;
    let snapshots = start(&["--appendonly", "no", "--save", "60 1"]);
    open(&snapshots.url()).await.unwrap();
}

/// A managed server that forbids CONFIG: the append-only file shows without it; else it is told.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn forbidden_configuration_is_refused_only_in_doubt() {
    let user = "ACL SETUSER limited on >secret ~* &* +@all -config";
    let url = |redis: &Server| redis.url().replace("//", "//limited:secret@");
    let (sure, doubtful) = (start(&[]), start(&["--appendonly", "no", "--save", "60 1"]));
    for redis in [&sure, &doubtful] {
        assert_eq!(redis.ask(user).unwrap(), "OK");
    }
    open(&url(&sure)).await.unwrap();
    refused(&url(&doubtful), "does not tell").await;
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_wrong_password_is_told_without_the_password() {
    let redis = start(&[]);
    assert_eq!(redis.ask("CONFIG SET requirepass right").unwrap(), "OK");
    open(&redis.url().replace("//", "//:right@")).await.unwrap();
    let error = open(&redis.url().replace("//", "//:wrong@")).await.err().unwrap().to_string();
    assert!(error.contains("assword") && !error.contains("wrong@"), "{error}");
}

#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn replicas_and_the_other_kind_are_not_taken() {
    let kind = |error: Option<Error>, because: &str| match error {
        Some(Error::Unsuitable { reason, .. }) => assert!(reason.contains(because), "{reason}"),
        other => panic!("{other:?}"),
    };
    let master = start(&[]);
    let replica = start(&["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    match open(&replica.url()).await.err() {
        // Who waits may find it a master.
        Some(Error::Unavailable { reason }) => assert!(reason.contains("a replica"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let cluster = RedisCluster::start(&server(), 3, 0, Fsync::EverySecond);
    let one = cluster.url().replace("redis+cluster", "redis");
    kind(open(one.split(',').next().unwrap()).await.err(), "is a node of a Redis Cluster");
    let not_one = master.url().replace("redis:", "redis+cluster:");
    kind(open(&not_one).await.err(), "no node of a Redis Cluster");
}

/// Every master is asked, not only the one that is named.
#[tokio::test]
#[ignore = "needs Redis: tests/run starts it"]
async fn every_master_of_a_cluster_is_checked() {
    let mut cluster = RedisCluster::start(&server(), 3, 0, Fsync::EverySecond);
    open(&cluster.url()).await.unwrap();
    let last = &cluster.nodes()[2];
    last.ask("CONFIG SET maxmemory 100mb").unwrap();
    last.ask("CONFIG SET maxmemory-policy allkeys-lru").unwrap();
    refused(&cluster.url(), "evicts").await;
}
