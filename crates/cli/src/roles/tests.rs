//! Roles over a store that commits nothing until it is told to, or lets nobody claim anything.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use candidates::index::{Indexes, Session};
use candidates::joined_row::Joiner;
use embedded::SyncMode;
use event_log::NewRecord;
use online::service::{Score, Towers};
use online_store::{
    Commit, Error, JournalId, OnlineStore, Outcome, OwnerToken, Page, Snapshot, StoredHead,
};
use record::{LaneId, Partition};
use tokio::sync::watch;
use tonic::Code;
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;

use super::*;
use crate::data::Opening;

const VISITORS: u64 = 20;
const IN_TIME: Duration = Duration::from_secs(60);

/// Commits wait until the gate is open.
struct Gated {
    inner: Arc<dyn OnlineStore>,
    gate: watch::Receiver<bool>,
    /// Claims do, too.
    claims: bool,
}

#[async_trait]
impl OnlineStore for Gated {
    fn journal(&self) -> Option<JournalId> {
        self.inner.journal()
    }

    async fn claim(
        &self,
        lane: LaneId,
        partition: Partition,
        owner: OwnerToken,
    ) -> Result<Option<StoredHead>, Error> {
        if self.claims {
            self.gate.clone().wait_for(|open| *open).await.unwrap();
        }
        self.inner.claim(lane, partition, owner).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Outcome, Error> {
        self.gate.clone().wait_for(|open| *open).await.unwrap();
        self.inner.commit(commit).await
    }

    async fn read(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.inner.read(lane, partition, keys).await
    }

    async fn read_derived(
        &self,
        lane: LaneId,
        partition: Partition,
        keys: &[Vec<u8>],
    ) -> Result<Snapshot, Error> {
        self.inner.read_derived(lane, partition, keys).await
    }

    async fn scan(
        &self,
        lane: LaneId,
        partition: Partition,
        visit: &mut (dyn for<'k, 'v> FnMut(&'k [u8], &'v [u8]) + Send),
    ) -> Result<Option<StoredHead>, Error> {
        self.inner.scan(lane, partition, visit).await
    }

    async fn page(
        &self,
        lane: LaneId,
        partition: Partition,
        from: &[u8],
        keys: usize,
    ) -> Result<Page, Error> {
        self.inner.page(lane, partition, from, keys).await
    }

    async fn lanes(&self) -> Result<Vec<LaneId>, Error> {
        self.inner.lanes().await
    }

    async fn remove(&self, lane: LaneId) -> Result<(), Error> {
        self.inner.remove(lane).await
    }
}

/// Knows every item, and likes none more than another.
struct Model;

impl Score for Model {
    fn score(&self, _: &[f32], rows: usize) -> Vec<f32> {
        vec![0.0; rows]
    }
}

impl Embedding for Model {
    fn digest(&self) -> [u8; 32] {
        [3; 32]
    }
    fn dimension(&self) -> usize {
        1
    }
    fn vector(&self, _: &str) -> Option<&[f32]> {
        Some(&[1.0])
    }
}

impl Towers for Model {
    fn query(&self, interest: &[f32]) -> Vec<f32> {
        interest.to_vec()
    }
}

/// A view of each visitor, a second ago.
fn views(clock: &Clock) -> Vec<NewRecord> {
    let at_us = clock.now().0 - 1_000_000;
    let view = |n| {
        let (visitor, item) = (format!("v{n}"), n % 3);
        let value = serde_json::json!({
            "event_id": format!("e{n}"), "event_time": at_us, "visitor_id": &visitor,
            "kind": "view", "item_id": format!("i{item}"),
        });
        NewRecord { key: visitor.into_bytes(), value: value.to_string().into_bytes(), trace: None }
    };
    (0..VISITORS).map(view).collect()
}

fn tables(definitions: &Definitions, clock: &Clock) -> Tables {
    let hour_us = 3_600_000_000;
    let cut_us = clock.now().0 - hour_us;
    let items: Vec<Arc<str>> = ["i0", "i1", "i2"].map(Into::into).to_vec();
    let session = Session { items, end_us: cut_us - hour_us };
    let tables = Tables::default();
    tables.install_indexes(Indexes::build(cut_us, BTreeMap::new(), [session]));
    let model = definitions.compile_model("ranker").unwrap();
    let joiner = Joiner::new(definitions, &model, &definitions.lanes()).unwrap();
    tables.install_bundle(Loaded {
        digest: "b".repeat(64),
        model,
        joiner,
        scorer: Arc::new(Model),
        towers: Some(Arc::new(Model)),
    });
    tables
}

/// Roles that have views to catch up with, and the gate of their store.
async fn started(directory: &Path) -> (Running, watch::Sender<bool>) {
    start_in(directory, true).await
}

/// Roles that have caught up in an earlier life, but have no claim yet, and the gate.
async fn started_again(directory: &Path) -> (Running, watch::Sender<bool>) {
    start_in(directory, false).await
}

async fn start_in(directory: &Path, is_new: bool) -> (Running, watch::Sender<bool>) {
    let clock = Clock::system();
    let opening = Opening { sync: SyncMode::Never, ..Opening::default() };
    let data = Data::open(directory, opening, clock.clone()).unwrap();
    let definitions = Path::new(crate::settings::DEFINITIONS);
    let definitions = Arc::new(crate::definition_files::load(definitions).unwrap());
    for topic in ["clickstream", "catalog"] {
        data.log.create(topic, 4).await.unwrap();
    }
    if is_new {
        data.log.append("clickstream", views(&clock)).await.unwrap();
    }
    let (open, gate) = watch::channel(false);
    let gated = Gated { inner: Arc::clone(&data.store), gate, claims: !is_new };
    let data = Data { store: Arc::new(gated), ..data };
    let tables = tables(&definitions, &clock);
    let plan = Plan { definitions, updater: true, pinned: None, tables, clock };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings::default();
    let running = tokio::time::timeout(IN_TIME, start(&settings, &data, plan, listener)).await;
    (running.unwrap().unwrap(), open)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_at_once_and_answers_when_the_lanes_have_caught_up() {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, gate) = started(directory.path()).await;
    let address = format!("http://{}", running.address);
    let mut client = RecommenderClient::connect(address).await.unwrap();
    let request = v1::RecommendRequest {
        surface: "home".to_owned(),
        visitor_id: "v0".to_owned(),
        ..Default::default()
    };
    let error = client.recommend(request.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(error.message().contains("has not caught up"), "{error}");

    gate.send_replace(true);
    tokio::time::timeout(IN_TIME, running.ready()).await.unwrap().unwrap();
    assert!(!client.recommend(request).await.unwrap().into_inner().items.is_empty());
    let counters = running.updater.as_ref().unwrap().counters();
    assert_eq!(counters.vectors_written, VISITORS, "each in the first commit");
    drop(client);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_before_its_updater_is_at_work_and_then_stays_ready() {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, gate) = started(directory.path()).await;
    gate.send_replace(true);
    tokio::time::timeout(IN_TIME, running.ready()).await.unwrap().unwrap();
    running.stop().await.unwrap();

    // The heads cover everything, but nobody would follow what comes next.
    let (mut running, gate) = started_again(directory.path()).await;
    let address = format!("http://{}", running.address);
    let mut client = RecommenderClient::connect(address).await.unwrap();
    for ready in [false, true] {
        gate.send_replace(ready);
        if ready {
            tokio::time::timeout(IN_TIME, running.ready()).await.unwrap().unwrap();
        }
        for _ in 0..20 {
            let request = v1::RecommendRequest {
                surface: "home".to_owned(),
                visitor_id: "v0".to_owned(),
                ..Default::default()
            };
            match client.recommend(request).await {
                Ok(answer) => assert!(ready && !answer.into_inner().items.is_empty()),
                Err(error) => {
                    assert!(!ready && error.message().contains("has not caught up"), "{error}");
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    drop(client);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updater_that_fails_ends_the_wait() {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, gate) = started(directory.path()).await;
    // A commit that can never be let through panics.
    drop(gate);
    let error = tokio::time::timeout(IN_TIME, running.ready()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    running.stop().await.unwrap();
}
