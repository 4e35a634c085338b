//! A server that does not answer: time-outs, the breaker, and the way back.

use std::time::Duration;

use online_store::{BreakerState, Error, OnlineStore, Outcome, OwnerToken, Redis, RedisSettings};
use record::Partition;
use servers::{Fsync, Redis as Server};

use crate::harness::{lane, server};
use crate::proxy::{Cut, Proxy};
use crate::work::{check, commit, retry};

const P: Partition = Partition(0);

fn reason<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Unavailable { reason }) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the server cannot have answered"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_paused_server_opens_the_breaker_until_it_goes_on() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let settings = RedisSettings {
        command_timeout: Duration::from_millis(100),
        failures_max: 3,
        open_for: Duration::from_millis(300),
        ..RedisSettings::from_url(&redis.url()).unwrap()
    };
    let (store, lane) = (Redis::open(settings).await.unwrap(), lane());
    let me = OwnerToken([1; 16]);
    store.claim(lane, P, me).await.unwrap();
    store.commit(&commit(lane, P, me, 1)).await.unwrap();
    let [reads, commits] = store.breakers();
    assert_eq!((reads.link, commits.link), ("reads", "commits"));
    assert_eq!((&reads.states[..], reads.opened), (&[BreakerState::Closed][..], 0));
    redis.pause();
    for _ in 0..3 {
        let reason = reason(store.read(lane, P, &[]).await);
        assert!(reason.contains("no answer in time"), "{reason}");
    }
    let open = reason(store.read(lane, P, &[]).await);
    assert!(open.contains("did not answer lately"), "{open}");
    let [reads, commits] = store.breakers();
    assert_eq!((&reads.states[..], reads.opened), (&[BreakerState::Open][..], 1));
    assert_eq!((reads.refused, commits.opened), (1, 0));
    // Commits have a breaker of their own; the server will find this one when it goes on.
    let second = commit(lane, P, me, 2);
    let lost = reason(store.commit(&second).await);
    assert!(lost.contains("no answer in time"), "{lost}");
    redis.resume();
    let head = retry(|| store.read(lane, P, &[])).await.head.unwrap();
    assert!((1..=2).contains(&head.next.0), "{head:?}");
    let again = retry(|| store.commit(&second)).await;
    assert!(matches!(again, Outcome::Committed | Outcome::AlreadyCommitted), "{again:?}");
    assert_eq!(check(&store, lane, P).await, 2);
    let [reads, _] = store.breakers();
    assert_eq!((&reads.states[..], reads.opened), (&[BreakerState::Closed][..], 1));
}

/// Callers with deadlines shorter than the store's own go away before it fails; it finds out still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn impatient_callers_do_not_hide_an_outage() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let settings = RedisSettings {
        command_timeout: Duration::from_millis(100),
        failures_max: 3,
        open_for: Duration::from_secs(600),
        in_flight_max: 4,
        ..RedisSettings::from_url(&redis.url()).unwrap()
    };
    let (store, lane) = (Redis::open(settings).await.unwrap(), lane());
    redis.pause();
    let refused = async {
        loop {
            let patience = Duration::from_millis(5);
            let keys = [];
            let read = store.read(lane, P, &keys);
            if let Ok(result) = tokio::time::timeout(patience, read).await {
                let reason = reason(result);
                if reason.contains("did not answer lately") {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), refused).await.expect("the breaker opens");
}

/// A connection that breaks takes all its calls along, and is one failure: the server is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn one_cut_connection_is_no_outage() {
    const CALLS: usize = 40;
    let redis = Server::start(&server(), Fsync::EverySecond);
    let proxy = Proxy::start(redis.port()).await;
    let settings = RedisSettings::from_url(&proxy.url()).unwrap();
    assert!(CALLS > 2 * settings.failures_max as usize, "as many as would open the breaker");
    let (store, lane) = (Redis::open(settings).await.unwrap(), lane());
    store.claim(lane, P, OwnerToken([1; 16])).await.unwrap();
    store.read(lane, P, &[]).await.unwrap();
    for round in 1..=3 {
        redis.pause();
        proxy.arm(Cut::After);
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.read(lane, P, &[]).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        redis.resume();
        for call in calls {
            let reason = reason(call.await.unwrap());
            assert!(!reason.contains("did not answer lately"), "{reason}");
        }
        assert_eq!(proxy.cuts(), round, "all of them were under way on one connection");
        store.read(lane, P, &[]).await.expect("the server is there");
    }
}

/// A server that was killed is unavailable, and reached again at the same address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_server_that_comes_back_is_found_again() {
    let mut redis = Server::start(&server(), Fsync::Always);
    let settings = RedisSettings::from_url(&redis.url()).unwrap();
    let (store, lane) = (Redis::open(settings.clone()).await.unwrap(), lane());
    let me = OwnerToken([1; 16]);
    store.claim(lane, P, me).await.unwrap();
    store.commit(&commit(lane, P, me, 1)).await.unwrap();
    redis.kill();
    reason(store.read(lane, P, &[]).await);
    let second = commit(lane, P, me, 2);
    reason(store.commit(&second).await);
    reason(Redis::open(settings).await.map(|_| ()));
    redis.restart();
    let again = retry(|| store.commit(&second)).await;
    assert_eq!(again, Outcome::Committed);
    retry(|| store.read(lane, P, &[])).await;
    assert_eq!(check(&store, lane, P).await, 2);
}
