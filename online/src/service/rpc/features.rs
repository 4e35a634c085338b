use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use definitions::Lane;
use record::{Offset, Partition};
use tonic::{Request, Response, Status};
use wire::v1;
use wire::v1::features_server::Features;

use super::recommend::client;
use super::values::feature_value;
use crate::service::calls::{Call, Method, Outcome};
use crate::service::clip::quoted;
use crate::service::core::Core;
use crate::service::status::Refusal;
use crate::service::validate::{self, Violations};

/// Keys of one call.
const KEYS_MAX: usize = 100;
/// Feature names of one call.
const FEATURES_MAX: usize = 200;

/// `Features`.
pub(in crate::service) struct FeaturesRpc(pub(in crate::service) Arc<Core>);

#[tonic::async_trait]
impl Features for FeaturesRpc {
    async fn get(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<Response<v1::GetFeaturesResponse>, Status> {
        let call = Call::begin(&self.0.metrics, Method::Features);
        let answer = self.answer(request).await;
        call.end(answer.as_ref().map_or_else(Outcome::from, |_| Outcome::Answered(None)));
        Ok(Response::new(answer?))
    }
}

impl FeaturesRpc {
    async fn answer(
        &self,
        request: Request<v1::GetFeaturesRequest>,
    ) -> Result<v1::GetFeaturesResponse, Refusal> {
        let core = &self.0;
        let _permit = core.shedder.admit(client(&request))?;
        let request = request.into_inner();
        let lanes = check(core, &request)?;
        core.ready()?;
        get(core, &request, &lanes).await
    }
}

fn names(lane: &Lane) -> impl Iterator<Item = String> {
    lane.features.iter().map(|f| format!("{}.{}", lane.groups[f.group].name, f.name))
}

/// The lanes (places among all) that the request needs.
fn check(core: &Core, request: &v1::GetFeaturesRequest) -> Result<Vec<usize>, Refusal> {
    let mut wrong = Violations::default();
    let of_entity: Vec<(usize, &Arc<Lane>)> = core
        .all_lanes
        .lanes()
        .enumerate()
        .filter(|(_, lane)| lane.entity == request.entity)
        .collect();
    if of_entity.is_empty() {
        let entity = quoted(&request.entity);
        wrong.add("entity", format!("{entity} has no features: see `twofold check`"));
    }
    if request.keys.is_empty() || request.keys.len() > KEYS_MAX {
        wrong.add("keys", format!("{} keys: send 1 to {KEYS_MAX}", request.keys.len()));
    }
    wrong.ids("keys", request.keys.iter().take(KEYS_MAX));
    if request.features.len() > FEATURES_MAX {
        wrong.add("features", format!("more than {FEATURES_MAX}: send fewer"));
    }
    for feature in request.features.iter().take(FEATURES_MAX) {
        if !of_entity.iter().any(|(_, lane)| names(lane).any(|name| name == *feature)) {
            let (feature, entity) = (quoted(feature), quoted(&request.entity));
            wrong.add("features", format!("{feature} is no feature of {entity}: remove it"));
        }
    }
    validate::positions(&request.min_positions, &core.topics, &mut wrong);
    wrong.into_result()?;
    let wanted = |lane: &Lane| {
        request.features.is_empty() || names(lane).any(|name| request.features.contains(&name))
    };
    Ok(of_entity.into_iter().filter(|(_, lane)| wanted(lane)).map(|(at, _)| at).collect())
}

async fn get(
    core: &Core,
    request: &v1::GetFeaturesRequest,
    lanes: &[usize],
) -> Result<v1::GetFeaturesResponse, Refusal> {
    wait(core, request, lanes).await;
    let as_of = core.clock.now();
    let snapshot = core.tables.current();
    let embedding = snapshot.bundle.as_ref().and_then(|bundle| bundle.embedding());
    let mut stale = false;
    let mut entities = Vec::with_capacity(request.keys.len());
    for key in &request.keys {
        let (mut values, mut reads) = (BTreeMap::new(), Vec::new());
        for at in lanes {
            let (lane, _) = core.all_lanes.lane(*at);
            let read = core.all_lanes.read(*at, key).await;
            let read = read.map_err(|cause| Refusal::Unavailable(cause.to_string()))?;
            let row = read.values(lane, as_of, embedding);
            let wanted = names(lane)
                .zip(&row)
                .filter(|(name, _)| request.features.is_empty() || request.features.contains(name));
            values.extend(wanted.map(|(name, value)| (name, feature_value(value))));
            stale |= read.heads.iter().any(|head| !covers(head, &request.min_positions));
            reads.extend(read.heads);
        }
        entities.push(v1::EntityFeatures { key: key.clone(), values, reads });
    }
    Ok(v1::GetFeaturesResponse { as_of_us: as_of.0, entities, stale })
}

/// Waits a little until the positions wanted are covered, where the updater of this process works on them
/// and can tell.
async fn wait(core: &Core, request: &v1::GetFeaturesRequest, lanes: &[usize]) {
    let Some(updater) = &core.updater else { return };
    let mut wanted = Vec::new();
    for at in lanes {
        let (lane, _) = core.all_lanes.lane(*at);
        let here = request.min_positions.iter().filter(|p| p.topic == lane.source.topic);
        wanted.extend(here.map(|p| (lane.id, Partition(p.partition), Offset(p.next))));
    }
    wanted.retain(|(lane, partition, _)| updater.working_on(*lane, *partition).is_some());
    if !wanted.is_empty() {
        let limit = Duration::from_millis(core.settings.wait_positions_ms);
        updater.wait_for(&wanted, limit).await;
    }
}

fn covers(head: &v1::LaneRead, wanted: &[v1::Position]) -> bool {
    let Some(position) = &head.position else { return false };
    let mut here =
        wanted.iter().filter(|p| p.topic == position.topic && p.partition == position.partition);
    here.all(|wanted| position.next >= wanted.next)
}
