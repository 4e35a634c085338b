//! What goes over the wire: the gRPC API and the records of topics `served` and `impressions`,
//! generated from `proto/`.
//!
//! A crate of its own because batch reads the records that the service writes, and neither may know
//! the other. It holds generated code and nothing else: no conversion, no default, no rule. Feature
//! `grpc` adds clients and servers, and the codec of these. Start with `proto/twofold/v1/recommend.proto`.

#[cfg(feature = "grpc")]
pub mod codec;

/// Package `twofold.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/twofold.v1.rs"));
    #[cfg(feature = "grpc")]
    include!(concat!(env!("OUT_DIR"), "/servers/twofold.v1.rs"));
}

/// The compiled `FileDescriptorSet` of `proto/`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use crate::v1::{RecommendRequest, Served, ServedCandidate};

    #[test]
    fn equal_messages_have_equal_bytes_whatever_the_order_of_insertion() {
        let served = |keys: [&str; 2]| Served {
            snapshots: keys.map(|key| (key.to_owned(), key.to_owned())).into(),
            request: Some(RecommendRequest { visitor_id: "v".into(), ..Default::default() }),
            candidates: vec![ServedCandidate { score: Some(0.5), ..Default::default() }],
            ..Default::default()
        };
        let bytes = served(["indexes", "profiles"]).encode_to_vec();
        assert_eq!(bytes, served(["profiles", "indexes"]).encode_to_vec());
        let read = Served::decode(bytes.as_slice()).expect("decodes what it encoded");
        assert_eq!(read, served(["indexes", "profiles"]));
    }
}
