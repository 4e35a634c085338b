//! A shop in one process: embedded log and store, updater, item table and the service on a loopback
//! port, with a manual clock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use candidates::index::{Indexes, Session};
use definitions::Definitions;
use definitions::parse::{File, parse};
use event_log::{EventLog, NewRecord};
use online::item_table::{self, ItemTable};
use online::service::{Handle, Parts, Service, Settings, Tables};
use online::updater::{self, Updater};
use online_store::OnlineStore;
use record::EventTime;
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::shutdown::{self, Shutdown, Trigger};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wire::v1;
use wire::v1::features_client::FeaturesClient;
use wire::v1::recommender_client::RecommenderClient;
use wire::v1::tracker_client::TrackerClient;

use crate::faulty::{Log, Store, Switch};
use crate::model::{self, Scoring};

pub(crate) const NOW: EventTime = EventTime(1_700_000_000_000_000);
const HOUR_US: i64 = 3_600_000_000;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        vec![$(File {
            path: $path.to_owned(),
            text: include_str!(concat!("../../../feature-definitions/", $path)).to_owned(),
        }),*]
    };
}

pub(crate) fn definitions(more_inputs: &str) -> Definitions {
    let mut files = files![
        "sources/clickstream.toml",
        "sources/catalog.toml",
        "groups/user_activity.toml",
        "groups/user_interest.toml",
        "groups/item_popularity.toml",
        "groups/item_attributes.toml",
        "models/ranker.toml",
    ];
    files.last_mut().expect("the model's").text.push_str(more_inputs);
    parse(&files).expect("the demo's definitions are right")
}

/// What a test may change before the world starts.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    /// (item, category, stock): what the catalogue says.
    pub(crate) catalogue: Vec<(&'static str, &'static str, i64)>,
    pub(crate) with_indexes: bool,
    pub(crate) scoring: Option<Scoring>,
    pub(crate) with_updater: bool,
    /// These partitions of each topic are the updater's; `None`: all.
    pub(crate) partitions: Option<Range<u32>>,
    /// What the model file says besides its inputs.
    pub(crate) more_inputs: &'static str,
    pub(crate) item_table: item_table::Settings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            // A slow machine must not degrade what a test does not mean to degrade.
            settings: Settings {
                deadline_ms: 100,
                margin_ms: 1,
                hydrate_ms: 40,
                source_ms: 20,
                score_ms: 39,
                ..Settings::default()
            },
            catalogue: ITEMS.iter().map(|item| (*item, &item[..3], 5)).collect(),
            with_indexes: true,
            scoring: Some(Scoring::Sum),
            with_updater: true,
            partitions: None,
            more_inputs: "",
            // The manual clock leaps; only a test that means it finds the table stale.
            item_table: item_table::Settings {
                refresh_ms: 20,
                stale_ms: 3_600_000,
                ..Default::default()
            },
        }
    }
}

/// What the indexes know; the first three letters are the category.
pub(crate) const ITEMS: [&str; 8] =
    ["shoe1", "shoe2", "shoe3", "shoe4", "hat1", "hat2", "hat3", "hat4"];
const SESSIONS: [&str; 8] = [
    "shoe1 shoe2 shoe3",
    "shoe1 shoe2",
    "shoe2 shoe3 shoe4",
    "shoe4 shoe1",
    "hat1 hat2 hat3",
    "hat2 hat3",
    "hat3 hat4 hat1",
    "hat1 shoe1",
];

pub(crate) fn indexes() -> Indexes {
    let session = |items: &str| Session {
        items: items.split(' ').map(Into::into).collect(),
        end_us: NOW.0 - HOUR_US,
    };
    Indexes::build(NOW.0 - HOUR_US / 2, BTreeMap::new(), SESSIONS.map(session))
}

pub(crate) struct World {
    _directory: TempDir,
    pub(crate) log: Arc<dyn EventLog>,
    /// The store, past what can hang or fail.
    store: Arc<dyn OnlineStore>,
    pub(crate) item_table: ItemTable,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) clock: Clock,
    pub(crate) tables: Tables,
    pub(crate) handle: Handle,
    pub(crate) channel: Channel,
    pub(crate) store_reads: Switch,
    pub(crate) served_appends: Switch,
    pub(crate) track_appends: Switch,
    trigger: Trigger,
    tasks: JoinSet<()>,
    events: std::sync::atomic::AtomicU64,
}

impl World {
    pub(crate) async fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options =
            embedded::Options { sync: embedded::SyncMode::Never, ..embedded::Options::default() };
        let database = embedded::Database::open_with(directory.path(), options).unwrap();
        let (clock, entropy) = (Clock::manual(NOW), Entropy::seeded(7));
        let log_settings = event_log::Settings {
            clock: Arc::new({
                let clock = clock.clone();
                move || clock.append_time()
            }),
            entropy: Arc::new({
                let entropy = entropy.clone();
                move || entropy.bytes()
            }),
        };
        let (store_reads, served_appends) = (Switch::default(), Switch::default());
        let track_appends = Switch::default();
        let log = Arc::new(event_log::Embedded::open(&database, log_settings).unwrap());
        let log: Arc<dyn EventLog> = Arc::new(wrapped(log, "served", served_appends.clone()));
        let log: Arc<dyn EventLog> = Arc::new(wrapped(log, "clickstream", track_appends.clone()));
        let store = online_store::Embedded::open(&database, Default::default()).unwrap();
        let plain: Arc<dyn OnlineStore> = Arc::new(store);
        let store: Arc<dyn OnlineStore> =
            Arc::new(Store { inner: Arc::clone(&plain), reads: store_reads.clone() });
        for topic in ["clickstream", "catalog"] {
            log.create(topic, 4).await.unwrap();
        }
        let items = setup.catalogue.iter().map(catalogue_record).collect::<Vec<_>>();
        if !items.is_empty() {
            log.append("catalog", items).await.unwrap();
        }
        let definitions = Arc::new(definitions(setup.more_inputs));
        let lanes = definitions.lanes();
        let (trigger, stop) = shutdown::channel();
        let mut tasks = JoinSet::new();
        let partitions = setup.partitions;
        let parts = updater::Parts {
            log: Arc::new(Log { partitions, ..wrapped(Arc::clone(&log), "", Switch::default()) }),
            store: Arc::clone(&plain),
            lanes: lanes.clone(),
            entropy: Entropy::system(),
            clock: clock.clone(),
        };
        let (updater, follow) = Updater::open(updater::Settings::default(), parts).await.unwrap();
        if setup.with_updater {
            let stop = stop.clone();
            tasks.spawn(async move { updater.run(stop).await.unwrap() });
            follow.caught_up().await;
        }
        let parts = item_table::Parts {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            lanes: lanes.clone(),
            updater: setup.with_updater.then(|| follow.clone()),
            clock: clock.clone(),
        };
        let (item_table, refresher) = item_table::open(setup.item_table, parts).await.unwrap();
        let stopped = stop.clone();
        tasks.spawn(async move { refresher.run(stopped).await.unwrap() });
        let tables = Tables::default();
        if setup.with_indexes {
            tables.install_indexes(indexes());
        }
        if let Some(scoring) = setup.scoring {
            tables.install_bundle(model::loaded(&definitions, "a", scoring));
        }
        let parts = Parts {
            log: Arc::clone(&log),
            store,
            definitions: Arc::clone(&definitions),
            lanes,
            item_table: item_table.clone(),
            tables: tables.clone(),
            clock: clock.clone(),
            entropy,
            updater: setup.with_updater.then_some(follow),
        };
        let service = Service::new(setup.settings, parts).await.unwrap();
        let handle = service.handle();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move { service.serve(listener, stop).await.unwrap() });
        let channel = Channel::from_shared(format!("http://{address}")).unwrap();
        Self {
            _directory: directory,
            log,
            store: plain,
            item_table,
            definitions,
            clock,
            tables,
            handle,
            channel: channel.connect().await.unwrap(),
            store_reads,
            served_appends,
            track_appends,
            trigger,
            tasks,
            events: 0.into(),
        }
    }

    pub(crate) async fn recommend(
        &self,
        request: v1::RecommendRequest,
    ) -> Result<v1::RecommendResponse, tonic::Status> {
        let mut client = RecommenderClient::new(self.channel.clone());
        client.recommend(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn track(&self, events: Vec<v1::Event>) -> v1::TrackResponse {
        let mut client = TrackerClient::new(self.channel.clone());
        client.track(v1::TrackRequest { events }).await.unwrap().into_inner()
    }

    pub(crate) async fn features(
        &self,
        request: v1::GetFeaturesRequest,
    ) -> Result<v1::GetFeaturesResponse, tonic::Status> {
        let mut client = FeaturesClient::new(self.channel.clone());
        client.get(request).await.map(tonic::Response::into_inner)
    }

    /// A click event.
    pub(crate) fn click(&self, visitor: &str, item: &str) -> v1::Event {
        let n = self.events.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let payload = json!({
            "event_id": format!("e{n}"), "event_time": self.clock.now().0,
            "visitor_id": visitor, "kind": "view", "item_id": item, "category": &item[..3],
        });
        v1::Event { source: "clickstream".to_owned(), payload: payload.to_string().into_bytes() }
    }

    /// Tracks clicks and returns the positions that cover them.
    pub(crate) async fn view(&self, visitor: &str, items: &[&str]) -> Vec<v1::Position> {
        let events = items.iter().map(|item| {
            self.clock.advance(Duration::from_secs(1));
            self.click(visitor, item)
        });
        let response = self.track(events.collect()).await;
        response.statuses.into_iter().map(|status| status.position.unwrap()).collect()
    }

    /// An updater of another process: to the end of the log, and gone.
    pub(crate) async fn update(&self) {
        let parts = updater::Parts {
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            lanes: self.definitions.lanes(),
            entropy: Entropy::system(),
            clock: self.clock.clone(),
        };
        let (updater, _) = Updater::open(updater::Settings::default(), parts).await.unwrap();
        updater.drain(Shutdown::never()).await.unwrap();
    }

    /// Waits until health says so.
    pub(crate) async fn wait_for(&self, status: ServingStatus) {
        let mut client = HealthClient::new(self.channel.clone());
        let asked = async {
            loop {
                let answer = client.check(HealthCheckRequest::default()).await.unwrap();
                if answer.into_inner().status() == status {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let said = tokio::time::timeout(Duration::from_secs(30), asked).await;
        assert!(said.is_ok(), "never {status:?}");
    }

    /// Stops everything, which flushes the queue of `served`.
    pub(crate) async fn stop(mut self) -> (TempDir, Arc<dyn EventLog>) {
        drop(self.channel);
        self.trigger.shut_down();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        (self._directory, self.log)
    }
}

fn wrapped(inner: Arc<dyn EventLog>, topic: &'static str, appends: Switch) -> Log {
    Log { inner, topic, appends, partitions: None }
}

fn catalogue_record((item, category, stock): &(&'static str, &'static str, i64)) -> NewRecord {
    let value = json!({
        "event_id": format!("k-{item}"), "event_time": NOW.0 - HOUR_US, "item_id": item,
        "name": format!("The {item}"), "category": category, "price_cents": 100, "stock": stock,
    });
    NewRecord { key: item.as_bytes().to_vec(), value: value.to_string().into_bytes(), trace: None }
}

pub(crate) fn ask(visitor: &str) -> v1::RecommendRequest {
    v1::RecommendRequest {
        visitor_id: visitor.to_owned(),
        surface: "home".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn ids(response: &v1::RecommendResponse) -> Vec<&str> {
    response.items.iter().map(|item| item.item_id.as_str()).collect()
}

pub(crate) fn causes(response: &v1::RecommendResponse) -> Vec<String> {
    response.degradations.iter().map(|d| format!("{}: {}", d.stage, d.cause)).collect()
}
