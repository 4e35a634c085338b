//! Generates the types from `proto/` in Rust alone: no `protoc` has to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 3] =
    ["twofold/v1/recommend.proto", "twofold/v1/served.proto", "twofold/v1/experiment.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed=../../proto");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES.map(|file| root.join(file)), [root])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_client(cfg!(feature = "grpc"))
        .build_server(false)
        // Sorted maps, so that equal messages have equal bytes.
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())?;
    if cfg!(feature = "grpc") {
        // By themselves, because only servers have a codec of their own.
        let servers = out.join("servers");
        std::fs::create_dir_all(&servers)?;
        tonic_prost_build::configure()
            .out_dir(servers)
            .build_client(false)
            .extern_path(".twofold.v1", "crate::v1")
            .codec_path("crate::codec::ServerCodec")
            .emit_rerun_if_changed(false)
            .compile_fds(descriptors)?;
    }
    Ok(())
}
