use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::Instrument as _;
use wire::v1;
use wire::v1::recommender_server::Recommender;

use crate::service::calls::{Call, Method, Outcome};
use crate::service::core::Core;
use crate::service::deadline;
use crate::service::status::Refusal;
use crate::service::trace;

/// `Recommender`.
pub(in crate::service) struct RecommenderRpc(pub(in crate::service) Arc<Core>);

#[tonic::async_trait]
impl Recommender for RecommenderRpc {
    async fn recommend(
        &self,
        request: Request<v1::RecommendRequest>,
    ) -> Result<Response<v1::RecommendResponse>, Status> {
        let metrics = &self.0.metrics;
        let call = Call::begin(metrics, Method::Recommend);
        let answer = self.answer(request, call.started()).await;
        let outcome = answer.as_ref().map_or_else(Outcome::from, |answer| answer.tier().into());
        let took = call.end(outcome);
        let response = answer?;
        metrics.took([("total", took)]);
        Ok(Response::new(response))
    }
}

impl RecommenderRpc {
    async fn answer(
        &self,
        request: Request<v1::RecommendRequest>,
        start: Instant,
    ) -> Result<v1::RecommendResponse, Refusal> {
        let core = &self.0;
        let permit = core.shedder.admit(client(&request))?;
        let limit = Duration::from_millis(core.settings.deadline_ms);
        let margin = Duration::from_millis(core.settings.margin_ms);
        let timeout = deadline::client_timeout(request.metadata());
        let deadline = start + deadline::budget(timeout, limit, margin);
        let trace = trace::of_call(request.metadata(), &core.entropy);
        let span = trace::span(Method::Recommend.as_str(), &trace);
        let answering = core.recommend(request.into_inner(), deadline, trace);
        let answer = answering.instrument(span).await;
        permit.done(start.elapsed());
        answer
    }
}

/// The caller's address: quotas are per address, because any name could be made up.
pub(super) fn client<T>(request: &Request<T>) -> Option<IpAddr> {
    request.remote_addr().map(|address| address.ip())
}
