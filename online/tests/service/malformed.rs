//! Requests that are no message of the API.

use prost::Message as _;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};
use tonic_prost::{ProstCodec, ProstDecoder};
use wire::v1;

use crate::world::{Setup, World, ask};

/// Sends bytes as they are.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = v1::RecommendResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::RecommendResponse>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<v1::RecommendRequest, v1::RecommendResponse>::raw_decoder(
            BufferSettings::default(),
        )
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        prost::bytes::BufMut::put_slice(buffer, &bytes);
        Ok(())
    }
}

async fn send(world: &World, method: &'static str, bytes: &[u8]) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(world.channel.clone());
    client.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(method);
    client.unary(Request::new(bytes.to_vec()), path, Bytes).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_the_callers_mistake() {
    let world = World::start(Setup::default()).await;
    // Field 1 says it has 5 bytes, of which none is there; then, one byte that is no UTF-8.
    for (bytes, expected) in [(&[0x0a, 5][..], ""), (&[0x0a, 1, 0xff], "UTF-8")] {
        for method in [
            "/twofold.v1.Recommender/Recommend",
            "/twofold.v1.Tracker/Track",
            "/twofold.v1.Features/Get",
        ] {
            let error = send(&world, method, bytes).await.unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{method}: {error}");
            assert!(error.message().starts_with("invalid request: "), "{method}: {error}");
            if !method.contains("Track") {
                assert!(error.message().contains(expected), "{method}: {error}");
            }
        }
    }
    let whole = ask("ann").encode_to_vec();
    send(&world, "/twofold.v1.Recommender/Recommend", &whole).await.unwrap();
}
