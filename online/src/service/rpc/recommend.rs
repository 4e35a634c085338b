use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, Response, Status};
use wire::v1;
use wire::v1::recommender_server::Recommender;

use crate::service::core::Core;
use crate::service::deadline;
use crate::service::metrics::Metrics;

/// `Recommender`.
pub(in crate::service) struct RecommenderRpc(pub(in crate::service) Arc<Core>);

#[tonic::async_trait]
impl Recommender for RecommenderRpc {
    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        let start = Instant::now();
        let core = &self.0;
        let client = client(&request);
        let permit =
            core.shedder.admit(client).inspect_err(|_| Metrics::add(&core.metrics.shed, 1))?;
        let limit = Duration::from_millis(core.settings.deadline_ms);
        let margin = Duration::from_millis(core.settings.margin_ms);
        let timeout = deadline::client_timeout(request.metadata());
        let deadline = start + deadline::budget(timeout, limit, margin);
        let answer = core.recommend(request.into_inner(), deadline).await;
        let took = start.elapsed();
        permit.done(took);
        let response = answer.inspect_err(|refusal| core.metrics.refused(refusal))?;
        core.metrics.took([("total", took)]);
        Ok(Response::new(response))
    }
}

/// The caller's address: quotas are per address, because any name could be made up.
pub(super) fn client<T>(request: &Request<T>) -> Option<IpAddr> {
    request.remote_addr().map(|address| address.ip())
}
