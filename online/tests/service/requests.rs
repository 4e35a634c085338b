//! Requests that are refused, and readiness.

use std::time::Duration;

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wire::v1;

use crate::world::{Setup, World, ask, indexes};

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_field_limit_and_remedy() {
    let world = World::start(Setup::default()).await;
    let request = v1::RecommendRequest { k: 5_000, ..ask("") };
    let error = world.recommend(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("k: 5000 is above 200: ask for less"), "{error}");
    assert!(error.message().contains("visitor_id"), "{error}");
    assert!(!error.details().is_empty());
    let request = v1::RecommendRequest { as_of_us: Some(1), ..ask("ann") };
    assert_eq!(world.recommend(request).await.unwrap_err().code(), Code::PermissionDenied);
    let request = v1::GetFeaturesRequest { entity: "sofa".to_owned(), ..Default::default() };
    let error = world.features(request).await.unwrap_err();
    assert!(error.message().contains("entity") && error.message().contains("keys"), "{error}");
    assert_eq!(world.handle.metrics.snapshot().invalid, 3);
}

async fn health(world: &World) -> ServingStatus {
    let mut client = HealthClient::new(world.channel.clone());
    client.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tables_it_is_not_serving_and_then_it_is() {
    let world = World::start(Setup { with_indexes: false, ..Setup::default() }).await;
    let mut waited = 0;
    while health(&world).await != ServingStatus::NotServing {
        tokio::time::sleep(Duration::from_millis(20)).await;
        waited += 1;
        assert!(waited < 200, "never NOT_SERVING");
    }
    let error = world.recommend(ask("ann")).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("twofold backfill"), "{error}");
    assert_eq!(world.handle.metrics.snapshot().unavailable, 1);
    world.tables.install_indexes(indexes());
    while health(&world).await != ServingStatus::Serving {
        tokio::time::sleep(Duration::from_millis(20)).await;
        waited += 1;
        assert!(waited < 400, "never SERVING");
    }
    assert!(world.recommend(ask("ann")).await.is_ok());
}
