//! Real servers for tests, as this machine runs them.
//!
//! `tests/servers/fetch` brings what is needed and says where it lies; here it is started on free
//! loopback ports and in temporary folders, killed as a fault would kill it, and started again on
//! the same port and folder. Everything stops when its value is dropped. For tests only: whatever
//! goes wrong panics with the server's own last words.

#[cfg(feature = "certificates")]
mod certificates;
mod kafka;
mod process;
mod redis;
mod redis_cluster;

#[cfg(feature = "certificates")]
pub use certificates::Certificates;
#[cfg(feature = "certificates")]
pub use kafka::Encrypted;
pub use kafka::{Kafka, kafka_libs};
pub use process::{Process, free_port};
pub use redis::{Backup, Fsync, Redis};
pub use redis_cluster::RedisCluster;
