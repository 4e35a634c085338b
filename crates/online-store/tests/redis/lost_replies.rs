//! The connection is cut around a commit, a thousand times: each is tried again, none is done twice.

use online_store::{Error, OnlineStore, Outcome, OwnerToken};
use record::{LaneId, Partition};
use servers::{Fsync, Redis as Server};

use crate::harness::{lane, open, server};
use crate::proxy::{Cut, Proxy};
use crate::work::{check, commit, retry};

const P: Partition = Partition(0);
const LOST: u64 = 1_000;

fn version(redis: &Server, lane: LaneId) -> u64 {
    let answer = redis.ask(&format!("HGET twofold:1:{{{lane}:0}} \"\\xffv\"")).unwrap();
    answer.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: tests/run starts it"]
async fn a_lost_reply_is_no_second_commit() {
    let redis = Server::start(&server(), Fsync::EverySecond);
    let proxy = Proxy::start(redis.port()).await;
    let (store, lane) = (open(&proxy.url()).await, lane());
    let me = OwnerToken([1; 16]);
    store.claim(lane, P, me).await.unwrap();
    let before = version(&redis, lane);
    let mut next = 0;
    let mut already = 0;
    while already < LOST {
        next += 1;
        // Every fourth never reaches the server, so that a retry has to do it.
        let cut = if next % 4 == 0 { Cut::Before } else { Cut::After };
        proxy.arm(cut);
        let commit = commit(lane, P, me, next);
        let lost = store.commit(&commit).await;
        assert!(matches!(lost, Err(Error::Unavailable { .. })), "{next}: {lost:?}");
        assert_eq!(proxy.cuts(), next);
        let again = retry(|| store.commit(&commit)).await;
        match cut {
            Cut::Before => assert_eq!(again, Outcome::Committed, "{next}"),
            _ => assert_eq!(again, Outcome::AlreadyCommitted, "{next}"),
        }
        already += u64::from(again == Outcome::AlreadyCommitted);
    }
    assert_eq!(version(&redis, lane) - before, next, "each was written once");
    assert_eq!(check(&store, lane, P).await, next);
}
