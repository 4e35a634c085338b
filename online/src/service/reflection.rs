//! gRPC reflection in both of its versions: many tools still ask for `v1alpha`, Python's client among them.
//! Both describe the same services, each other included.

use tonic_reflection::pb;
use tonic_reflection::server::{self, Builder};

use super::Error;

pub(super) fn v1()
-> Result<server::v1::ServerReflectionServer<impl server::v1::ServerReflection>, Error> {
    all().build_v1().map_err(refused)
}

pub(super) fn v1alpha()
-> Result<server::v1alpha::ServerReflectionServer<impl server::v1alpha::ServerReflection>, Error> {
    all().build_v1alpha().map_err(refused)
}

fn all() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(pb::v1alpha::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}

fn refused(error: server::Error) -> Error {
    Error::Reflection(error.to_string())
}
