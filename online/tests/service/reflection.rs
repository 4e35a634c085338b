//! Tools that ask what there is to call, in either version of the question.

use tonic_reflection::pb;

use crate::world::{Setup, World};

const SERVICES: [&str; 6] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "twofold.v1.Features",
    "twofold.v1.Recommender",
    "twofold.v1.Tracker",
];

/// What the service answers to a client of this version: names of its services, and of the file that
/// describes one.
macro_rules! asked {
    ($world:expr, $version:ident) => {{
        use pb::$version::server_reflection_client::ServerReflectionClient;
        use pb::$version::server_reflection_request::MessageRequest;
        use pb::$version::server_reflection_response::MessageResponse;
        let mut client = ServerReflectionClient::new($world.channel.clone());
        let ask = |message| pb::$version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message),
        };
        let requests = [
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol("twofold.v1.Recommender".to_owned())),
        ];
        let answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap();
        let mut answers = answers.into_inner();
        let listed = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(listed)) = listed else {
            panic!("{listed:?}")
        };
        let described = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::FileDescriptorResponse(described)) = described else {
            panic!("{described:?}")
        };
        let mut names: Vec<String> = listed.service.into_iter().map(|s| s.name).collect();
        names.sort();
        (names, String::from_utf8_lossy(&described.file_descriptor_proto[0]).into_owned())
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_reflection_tell_the_same() {
    let world = World::start(Setup::default()).await;
    let (names, described) = asked!(world, v1);
    assert_eq!(names, SERVICES);
    assert!(described.contains("RecommendRequest"), "{described}");
    assert_eq!(asked!(world, v1alpha), (names, described));
}
