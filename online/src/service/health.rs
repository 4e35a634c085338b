//! Health: SERVING while there is something to answer with.

use std::sync::Arc;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use wire::v1::features_server::FeaturesServer;
use wire::v1::recommender_server::RecommenderServer;
use wire::v1::tracker_server::TrackerServer;

use super::core::Core;
use super::rpc::{FeaturesRpc, RecommenderRpc, TrackerRpc};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// Follows [`Core::not_ready`] for ever. `Track` needs no tables, so it always serves; the whole
/// server (the empty name) is as ready as `Recommend`.
pub(super) async fn watch(health: HealthReporter, core: Arc<Core>) {
    health.set_serving::<TrackerServer<TrackerRpc>>().await;
    let mut reported = None;
    loop {
        let not_ready = core.not_ready();
        if reported != Some(not_ready) {
            let status = match not_ready {
                None => ServingStatus::Serving,
                Some(why) => {
                    tracing::info!(why, "not serving");
                    ServingStatus::NotServing
                }
            };
            health.set_service_status("", status).await;
            if not_ready.is_none() {
                health.set_serving::<RecommenderServer<RecommenderRpc>>().await;
                health.set_serving::<FeaturesServer<FeaturesRpc>>().await;
            } else {
                health.set_not_serving::<RecommenderServer<RecommenderRpc>>().await;
                health.set_not_serving::<FeaturesServer<FeaturesRpc>>().await;
            }
            reported = Some(not_ready);
        }
        tokio::time::sleep(EVERY).await;
    }
}
