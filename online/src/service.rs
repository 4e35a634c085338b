//! The recommendation service: gRPC in front of the candidate pipeline.
//!
//! A request is checked, pins what it is answered with (bundle, indexes, item table, `as_of`) and
//! runs through the pipeline: hydrators → sources → fusion → filters → ranker → selection. Whatever
//! is late or fails is left out and named, so that every request is answered inside its deadline;
//! what was answered goes to topic `served` off the deadline. Stages are small files in folders named
//! after their verb.
//!
//! The anatomy: [`Settings`] → [`Service::new`] → [`Service::serve`], a cheap-clone [`Handle`], and
//! [`Error`]. Tiers: *full*; *partial*, where a stage before the ranker is missing or the item table is
//! stale; *heuristic*, where the ranker is missing, in the order of fusion; *popular*, where no source
//! gave anything that passes the filters.
//!
//! It listens at once and takes events, but `Recommend` and `Features.Get` are `UNAVAILABLE`, and
//! health says `NOT_SERVING`, until there are indexes and the lanes have caught up with the log as it
//! was at the start, whichever process keeps them.

mod attribute;
pub mod bench;
mod calls;
mod catalogue;
mod catch_up;
mod clip;
mod context;
mod core;
mod cursor;
mod deadline;
mod filters;
mod fuser;
mod health;
mod hydrators;
mod lanes;
mod metrics;
mod query;
mod reason;
mod reflection;
mod rpc;
mod scorers;
mod selectors;
mod settings;
mod shed;
mod side_effects;
mod sources;
mod stages;
mod status;
mod tables;
pub(crate) mod trace;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use candidates::joined_row::ITEM_ENTITY;
use definitions::{Definitions, Lane};
use event_log::EventLog;
use hashbrown::HashMap;
use online_store::OnlineStore;
use runtime::clock::Clock;
use runtime::entropy::Entropy;
use runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use wire::v1::features_server::FeaturesServer;
use wire::v1::recommender_server::RecommenderServer;
use wire::v1::tracker_server::TrackerServer;

use self::catalogue::Catalogue;
use self::catch_up::{CatchUp, Waits};
use self::core::Core;
use self::cursor::Signer;
use self::lanes::LaneReader;
use self::rpc::{FeaturesRpc, RecommenderRpc, TrackerRpc};
use self::shed::Shedder;
use self::side_effects::Writer;
use self::tables::hex;
use crate::item_table::ItemTable;
use crate::updater;

pub use self::calls::{Method, Outcome, Tier};
pub use self::core::MODEL_EXPERIMENT;
pub use self::metrics::{Latency, Metrics, Snapshot as MetricsSnapshot};
pub use self::settings::Settings;
pub use self::tables::{
    Error as BundleError, Loaded, Score, Snapshot, Tables, Towers, expectation,
    interest_half_life_us,
};

/// How long requests in flight and the queue of `served` may take to end.
const DRAIN: Duration = Duration::from_secs(5);
/// Bytes of a message that a client may send: `Track`'s limit and its frame.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a service works with.
#[derive(Clone)]
pub struct Parts {
    /// Where `Track` appends and `served` goes. The sources' topics must exist.
    pub log: Arc<dyn EventLog>,
    /// Where visitors' states are.
    pub store: Arc<dyn OnlineStore>,
    /// The definitions.
    pub definitions: Arc<Definitions>,
    /// All lanes of the definitions, as the updater keeps them.
    pub lanes: Vec<Arc<Lane>>,
    /// Features of the items.
    pub item_table: ItemTable,
    /// Indexes and bundle; may be filled later.
    pub tables: Tables,
    /// The clock: `as_of` where the request names none.
    pub clock: Clock,
    /// Request ids and tracking tokens come from it.
    pub entropy: Entropy,
    /// The updater, where it runs in this process.
    pub updater: Option<updater::Handle>,
}

/// Why a service could not start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be used.
    #[error("{}: {} ({})", .0.key, .0.message, .0.remedy)]
    Settings(runtime::settings::Invalid),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] event_log::Error),
    /// The definitions have no such model.
    #[error("no model `{0}` in the definitions: set `service.model` to one of them")]
    NoModel(String),
    /// The model names a source that there is not.
    #[error(transparent)]
    Sources(#[from] candidates::Error),
    /// More sources than a candidate can carry.
    #[error("model `{model}` names {count} sources, the limit is {max}")]
    TooManySources {
        /// The model.
        model: String,
        /// Its sources.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A lane that is neither the items' nor keyed by the visitor.
    #[error("lane {source_name}/{entity} is not keyed by its stream key, so it cannot be served")]
    Lane {
        /// Source of the lane.
        source_name: String,
        /// Entity of the lane.
        entity: String,
    },
    /// The item table shows other lanes than the definitions have.
    #[error("the item table does not hold the definitions' item lanes, in their order")]
    ItemTable,
    /// The server failed.
    #[error("gRPC server: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Reflection could not be set up: a mistake in the build.
    #[error("gRPC reflection: {0}")]
    Reflection(String),
}

/// The service.
pub struct Service {
    core: Arc<Core>,
    writer: Writer,
    catch_up: CatchUp,
    catalogue: Option<Arc<Catalogue>>,
}

/// Looks at and changes a running service. Cheap to clone; it does not keep the service alive.
#[derive(Clone)]
pub struct Handle {
    /// Indexes and bundle.
    pub tables: Tables,
    /// What the service has done.
    pub metrics: Arc<Metrics>,
    shedder: Arc<Shedder>,
    waits: Waits,
}

impl Handle {
    /// Requests at once: those that run, and the most that are admitted now.
    #[must_use]
    pub fn concurrency(&self) -> (u32, u32) {
        (self.shedder.running(), self.shedder.limit())
    }

    /// Whether `Recommend` answers: the lanes have caught up, and there are indexes.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.tables.current().indexes.is_some() && self.waits.borrow().is_none()
    }

    /// Waits until the lanes have caught up; for ever where the service ends before. With indexes, it
    /// then answers.
    pub async fn caught_up(&self) {
        let mut waits = self.waits.clone();
        if waits.wait_for(Option::is_none).await.is_err() {
            std::future::pending().await
        }
    }
}

impl Service {
    /// A service of these parts; it listens to nothing yet.
    ///
    /// # Errors
    /// Settings, definitions or topics that do not fit together.
    pub async fn new(settings: Settings, parts: Parts) -> Result<Self, Error> {
        settings.check().map_err(Error::Settings)?;
        let Parts { log, store, definitions, lanes, item_table, tables, clock, entropy, updater } =
            parts;
        let (item_lanes, visitor_lanes): (Vec<_>, Vec<_>) =
            lanes.iter().cloned().partition(|lane| lane.entity == ITEM_ENTITY);
        check_lanes(&visitor_lanes, &item_lanes, &item_table)?;
        let sources = stages::sources(&definitions, &settings)?;
        let all_lanes = LaneReader::new(&*log, Arc::clone(&store), &lanes).await?;
        let visitor_lanes = LaneReader::new(&*log, Arc::clone(&store), &visitor_lanes).await?;
        let visitor_lanes = Arc::new(visitor_lanes);
        let mut topics = HashMap::new();
        for source in &definitions.sources {
            topics.insert(source.topic.clone(), log.topic(&source.topic).await?);
        }
        let partitions = topics.values().map(|topic| topic.partitions).max().unwrap_or(1);
        log.ensure(&settings.served_topic, partitions).await?;
        let metrics = Arc::new(Metrics::default());
        let (recorder, writer) = side_effects::open(
            &settings,
            definitions_hash(&definitions, &lanes),
            Arc::clone(&log),
            Arc::clone(&metrics),
        );
        let attributes = attribute::of(&item_lanes);
        let catalogue = match stages::catalogue_topic(&item_lanes, &attributes) {
            Some(topic) => Some(Catalogue::open(Arc::clone(&log), topic.to_owned()).await?),
            None => None,
        };
        let of_catch_up = catch_up::Parts {
            log: Arc::clone(&log),
            store,
            updater: updater.clone(),
            item_table: item_table.clone(),
            clock: clock.clone(),
        };
        let (catch_up, waits) = CatchUp::open(of_catch_up, &lanes).await?;
        let pipeline = stages::pipeline(
            &settings,
            &sources,
            &attributes,
            &visitor_lanes,
            catalogue.as_ref(),
            updater.as_ref(),
            &metrics,
        );
        let core = Core {
            pipeline,
            effects: vec![Arc::new(recorder)],
            sources,
            visitor_lanes,
            all_lanes,
            log,
            definitions,
            topics,
            item_table,
            attributes,
            tables,
            waits,
            updater,
            shedder: Arc::new(Shedder::new(&settings)),
            metrics,
            signer: Signer::new(&settings),
            clock,
            entropy,
            settings,
        };
        Ok(Self { core: Arc::new(core), writer, catch_up, catalogue })
    }

    /// A handle on it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            tables: self.core.tables.clone(),
            metrics: Arc::clone(&self.core.metrics),
            shedder: Arc::clone(&self.core.shedder),
            waits: self.core.waits.clone(),
        }
    }

    /// Answers on `listener` until `shutdown`; then ends what is in flight, writes what is queued for
    /// `served`, and returns.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> Result<(), Error> {
        let Self { core, writer, catch_up, catalogue } = self;
        let metrics = Arc::clone(&core.metrics);
        let mut writer = tokio::spawn(writer.run());
        let (health, health_server) = tonic_health::server::health_reporter();
        // Ends with this call, however it ends.
        let mut followers = JoinSet::new();
        followers.spawn(health::watch(health, Arc::clone(&core)));
        followers.spawn(catch_up.follow());
        followers.spawn(async move {
            if let Some(catalogue) = catalogue {
                catalogue.follow().await;
            }
        });
        let reflection = reflection::v1()?;
        let old_reflection = reflection::v1alpha()?;
        let recommender = RecommenderServer::new(RecommenderRpc(Arc::clone(&core)));
        let tracker = TrackerServer::new(TrackerRpc(Arc::clone(&core)));
        let features = FeaturesServer::new(FeaturesRpc(core));
        let asked = shutdown.clone();
        // The server's own option counts only for listeners that it binds itself; without it answers
        // wait for the client's delayed acknowledgement, some 40 ms.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder()
            .add_service(health_server)
            .add_service(reflection)
            .add_service(old_reflection)
            .add_service(recommender.max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(tracker.max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(features.max_decoding_message_size(MESSAGE_BYTES_MAX))
            .serve_with_incoming_shutdown(incoming, async move {
                asked.wait().await;
            });
        let overdue = async {
            shutdown.wait().await;
            tokio::time::sleep(DRAIN).await;
        };
        let result = tokio::select! {
            result = server => result,
            () = overdue => {
                tracing::warn!("connections did not end in time and were dropped");
                Ok(())
            }
        };
        // One of them holds the core, and with it the queue's last sender.
        followers.shutdown().await;
        if tokio::time::timeout(DRAIN, &mut writer).await.is_err() {
            writer.abort();
            // Only when it has ended does nothing change any more; that it was cut is no news.
            let _ = writer.await;
            let left = metrics.give_up_served();
            tracing::warn!(left, "topic served was not written to its end in time");
        }
        Ok(result?)
    }
}

fn check_lanes(
    visitor: &[Arc<Lane>],
    item: &[Arc<Lane>],
    item_table: &ItemTable,
) -> Result<(), Error> {
    if let Some(lane) = visitor.iter().find(|lane| !lane.is_stream_keyed()) {
        return Err(Error::Lane {
            source_name: lane.source.name.clone(),
            entity: lane.entity.clone(),
        });
    }
    let table = item_table.current();
    let same = table.lanes().iter().map(|lane| lane.id).eq(item.iter().map(|lane| lane.id));
    if same { Ok(()) } else { Err(Error::ItemTable) }
}

/// What identifies the definitions as a whole, in each record of topic `served`: BLAKE3 over the lanes' ids and
/// the models' hashes, lower-case hex.
#[must_use]
pub fn definitions_hash(definitions: &Definitions, lanes: &[Arc<Lane>]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("twofold 2026 definitions v1");
    lanes.iter().for_each(|lane| {
        hasher.update(&lane.id.0);
    });
    definitions.models.iter().for_each(|model| {
        hasher.update(&model.hash);
    });
    hasher.finalize().to_hex().to_string()
}
